"""Procedural texture tiles: every kind is a function of (size, random generator) giving an image (S,S,3) in 0..1.

Tiles are periodic in both directions, so that a surface of any extent can be covered, unless the kind is meant to be
shown once (`PICTURE_KINDS`: one tile spans the surface).
"""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]
Kind = Callable[[int, np.random.Generator], Image]

_WORDS = (
    "EXIT", "CAFE", "NORTH", "MAP", "LAB", "42", "SLAM", "ROOM", "BOOK", "TEA", "VIEW", "LOOP", "OPEN", "BAKERY",
    "TAXI", "HOTEL", "1984", "RADIO", "JAZZ", "PARK",
)  # fmt: skip


def noise(size: int, rng: np.random.Generator, slope: float = 1.0, stretch: tuple[float, float] = (1.0, 1.0)) -> Image:
    """Periodic many-octave noise (S,S), zero mean, unit deviation: amplitude falls as 1 / frequency**slope.

    `stretch` (x, y) draws features out along an axis: (1, 8) has grain eight times longer in y than in x.
    """
    fy = np.fft.fftfreq(size)[:, None] * size * stretch[1]
    fx = np.fft.rfftfreq(size)[None, :] * size * stretch[0]
    radius = np.hypot(fx, fy)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / radius**slope
    out = np.fft.irfft2(spectrum, s=(size, size))
    return ((out - out.mean()) / (out.std() + 1e-12)).astype(np.float32)


def colour(rng: np.random.Generator, low: float = 0.25, high: float = 0.85, saturation: float = 0.5) -> Image:
    """A random colour (3,) whose brightest channel is in low..high; saturation 0 is grey. Few purples and pinks."""
    hue = (rng.choice([0.0, 0.05, 0.09, 0.13, 0.2, 0.33, 0.45, 0.56, 0.62, 0.95]) + rng.normal(0, 0.015)) % 1.0
    value, strength = rng.uniform(low, high), min(saturation * rng.uniform(0.3, 0.9), 0.9)
    return np.array(colorsys.hsv_to_rgb(float(hue), float(strength), float(value)), np.float32)


def _rgb(red: float, green: float, blue: float) -> Image:
    return np.array([red, green, blue], np.float32)


def _grid(size: int) -> tuple[Image, Image]:
    c = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(c, c)
    return x, y


def _blend(mask: Image, a: Image, b: Image) -> Image:
    """mask (S,S) in 0..1: 0 gives a, 1 gives b."""
    m = mask[..., None]
    return a * (1 - m) + b * m


def plaster(size: int, rng: np.random.Generator) -> Image:
    """Nearly texture-less wall: a light colour with faint stains."""
    base = colour(rng, 0.6, 0.85, 0.25)
    return base * (1 + 0.02 * noise(size, rng, 1.6)[..., None] + 0.008 * noise(size, rng, 0.3)[..., None])


def rough(size: int, rng: np.random.Generator) -> Image:
    """Many-octave two-colour noise: stone, stained concrete, marble."""
    a, b = colour(rng, 0.2, 0.6), colour(rng, 0.5, 0.9)
    n = noise(size, rng, rng.uniform(0.8, 1.4))
    return _blend(1 / (1 + np.exp(-2.0 * n)), a, b) * (1 + 0.05 * noise(size, rng, 0.4)[..., None])


def wallpaper(size: int, rng: np.random.Generator) -> Image:
    """Printed wallpaper: jittered rows of ornaments of a few shapes on a light ground."""
    base = colour(rng, 0.55, 0.8, 0.35)
    image = _canvas(base, size)
    inks = [colour(rng, 0.15, 0.6, 0.9) for _ in range(3)]
    cells = int(rng.integers(8, 11))
    for row in range(cells):
        for col in range(cells):
            centre = (np.array([col + 0.5 * (row % 2), row]) + rng.uniform(0.3, 0.7, 2)) / cells
            radius = rng.uniform(0.2, 0.42) / cells
            _stamp(image, centre, radius, inks[int(rng.integers(3))], rng)
    return _read(image) * (1 + 0.05 * noise(size, rng, 1.0)[..., None])


def _stamp(
    image: npt.NDArray[np.uint8], centre: npt.NDArray[np.float64], radius: float, ink: Image, rng: np.random.Generator
) -> None:
    """Draw one random shape on a periodic tile; centre and radius in tile units."""
    size = image.shape[0]
    kind, angle = int(rng.integers(4)), rng.uniform(0, 2 * np.pi)
    corners = int(rng.integers(3, 7))
    angles = angle + 2 * np.pi * np.arange(2 * corners) / (2 * corners)
    star = np.where(np.arange(2 * corners) % 2 == 0, 1.0, rng.uniform(0.4, 0.9)) * radius * size
    outline = np.stack([np.cos(angles) * star, np.sin(angles) * star], 1)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            at = (centre + np.array([dx, dy])) * size
            if np.any(at < -radius * size - 2) or np.any(at > (1 + radius) * size + 2):
                continue
            if kind == 0:
                cv2.circle(image, _pt(at), max(1, int(radius * size)), _ink(ink), -1, cv2.LINE_AA)
            elif kind == 1:
                cv2.circle(image, _pt(at), max(1, int(radius * size)), _ink(ink), max(1, size // 100), cv2.LINE_AA)
            else:
                cv2.fillPoly(image, [np.round(at + outline).astype(np.int32)], _ink(ink), cv2.LINE_AA)


def _ink(rgb: npt.ArrayLike) -> list[float]:
    """A colour in 0..1 as OpenCV wants it on a drawing canvas."""
    return [float(255 * c) for c in np.clip(rgb, 0, 1)]


def _canvas(image: Image, size: int) -> npt.NDArray[np.uint8]:
    """A copy of a colour (3,) or image (S,S,3) to draw on: OpenCV draws smooth lines and text on bytes only."""
    return np.ascontiguousarray((np.broadcast_to(image, (size, size, 3)) * 255).clip(0, 255).astype(np.uint8))


def _read(canvas: npt.NDArray[np.uint8]) -> Image:
    return canvas.astype(np.float32) / 255


def _pt(at: npt.NDArray[np.float64]) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))


def shapes(size: int, rng: np.random.Generator) -> Image:
    """Random overlapping discs, rings, polygons and stars of all sizes."""
    image = _canvas(colour(rng), size)
    for radius in np.geomspace(0.2, 0.02, int(rng.integers(40, 90))):
        _stamp(image, rng.uniform(0, 1, 2), radius * rng.uniform(0.7, 1.3), colour(rng, 0.1, 0.95, 1.0), rng)
    return _read(image)


def bricks(size: int, rng: np.random.Generator) -> Image:
    """Brick wall in running bond, each brick with its own shade."""
    rows, cols = 2 * int(rng.integers(4, 7)), int(rng.integers(3, 5))
    clay = (_rgb(0.58, 0.27, 0.18), _rgb(0.66, 0.42, 0.28), _rgb(0.72, 0.62, 0.48), _rgb(0.45, 0.43, 0.42))
    base, mortar = clay[int(rng.integers(4))] * rng.uniform(0.85, 1.15), colour(rng, 0.6, 0.8, 0.1)
    return _courses(size, rng, (rows, cols), (base, mortar), 0.16)


def tiles(size: int, rng: np.random.Generator) -> Image:
    """Square floor tiles with joints, each with its own shade."""
    n = int(rng.integers(3, 6))
    return _courses(size, rng, (n, n), (colour(rng, 0.45, 0.8, 0.3), colour(rng, 0.2, 0.4, 0.1)), 0.1, bond=0.0)


def _courses(
    size: int, rng: np.random.Generator, counts: tuple[int, int], inks: tuple[Image, Image], spread: float,
    bond: float = 0.5,
) -> Image:  # fmt: skip
    rows, cols = counts
    x, y = _grid(size)
    row = np.floor(y * rows).astype(int)
    along = x * cols + bond * (row % 2)
    col = np.floor(along).astype(int) % cols
    shade = 1 + spread * rng.standard_normal((rows, cols, 1)) + 0.04 * rng.standard_normal((rows, cols, 3))
    joint = 0.035 * rows / max(cols, 1) if bond else 0.03
    edge_y = np.abs(y * rows - row - 0.5) > 0.5 - 0.035 * max(rows / 8, 0.6)
    edge_x = np.abs(along - np.floor(along) - 0.5) > 0.5 - joint * 0.6
    body = inks[0] * shade[row, col].astype(np.float32) * (1 + 0.07 * noise(size, rng, 0.7)[..., None])
    mask = cv2.GaussianBlur((edge_x | edge_y).astype(np.float32), (0, 0), size / 512, borderType=cv2.BORDER_REPLICATE)
    return _blend(mask, body, inks[1] * (1 + 0.06 * noise(size, rng, 0.5)[..., None]))


def wood(size: int, rng: np.random.Generator) -> Image:
    """Grain along y: stretched noise bent into rings, with a few knots."""
    base = _rgb(0.62, 0.42, 0.24) * rng.uniform(0.55, 1.25) * (1 + 0.08 * rng.standard_normal(3)).astype("f4")
    x, y = _grid(size)
    bend = 0.05 * noise(size, rng, 2.0, (1.0, 3.0))
    for _ in range(int(rng.integers(2, 6))):
        cx, cy = rng.uniform(0, 1, 2)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        bend += 0.12 * np.exp(-((dx / 0.05) ** 2 + (dy / 0.12) ** 2))
    rings = np.sin(2 * np.pi * (round(rng.uniform(5, 11)) * x + 6 * bend))
    grain = 0.10 * rings + 0.07 * noise(size, rng, 0.6, (1.0, 14.0))
    return np.clip(base * (1 + grain[..., None]), 0, 1)


def planks(size: int, rng: np.random.Generator) -> Image:
    """Wooden floor boards along y, with end joints and differing shades."""
    boards = int(rng.integers(5, 8))
    base = wood(size, rng)
    x, y = _grid(size)
    board = np.floor(x * boards).astype(int)
    offset = rng.uniform(0, 1, boards)
    half = np.floor((y + offset[board]) * 2).astype(int) % 2
    shade = (1 + 0.2 * rng.standard_normal((boards, 2))).clip(0.6, 1.4)[board, half]
    rolled = np.empty_like(base)
    for b in range(boards):
        columns = np.flatnonzero(board[0] == b)
        rolled[:, columns] = np.roll(base, int(rng.integers(size)), axis=0)[:, columns]
    gap_x = np.abs(x * boards - board - 0.5) > 0.5 - 0.02 * boards / 4
    along = (y + offset[board]) * 2
    gap_y = np.abs(along - np.floor(along) - 0.5) > 0.49
    mask = cv2.GaussianBlur((gap_x | gap_y).astype(np.float32), (0, 0), size / 512, borderType=cv2.BORDER_REPLICATE)
    boards_image = np.clip(rolled * shade[..., None], 0, 1)
    return _blend(0.75 * mask, boards_image, _rgb(0.12, 0.08, 0.05))


def fabric(size: int, rng: np.random.Generator) -> Image:
    """Woven cloth: two-colour checks or stripes with a thread structure."""
    a, b, c = colour(rng, 0.25, 0.7, 0.8), colour(rng, 0.25, 0.7, 0.8), colour(rng, 0.6, 0.95, 0.3)
    x, y = _grid(size)
    bands = np.sort(rng.uniform(0, 1, 8))
    level = rng.uniform(0, 1, 9).astype(np.float32)
    warp, weft = level[np.searchsorted(bands, x)], level[np.searchsorted(bands, y)]
    if rng.random() < 0.4:
        weft = np.full_like(weft, 0.5)
    image = _blend(0.5 * (warp + weft), np.broadcast_to(a, (size, size, 3)), b)
    image = _blend((np.abs(warp - weft) < 0.08).astype(np.float32) * 0.5, image, c)
    return image * (1 + 0.10 * noise(size, rng, 0.5)[..., None])


def rug(size: int, rng: np.random.Generator) -> Image:
    """Oriental rug: borders and ornaments, mirrored in both directions; shown once."""
    half = size // 2
    tones = ((0.15, 0.5, 1.2), (0.4, 0.8, 1.0), (0.5, 0.9, 0.5), (0.1, 0.3, 0.8))
    inks = [colour(rng, *tone) for tone in tones]
    quarter = _canvas(inks[0], half)
    for radius in np.geomspace(0.16, 0.03, 60):
        _stamp(quarter, rng.uniform(0.0, 1.0, 2), radius, inks[int(rng.integers(1, 4))], rng)
    image = np.concatenate([quarter, quarter[:, ::-1]], 1)
    image = np.concatenate([image, image[::-1]], 0)
    image = np.pad(image, ((0, size - 2 * half), (0, size - 2 * half), (0, 0)), mode="edge")
    for k, inset in enumerate((0.005, 0.04, 0.09, 0.11)):
        lo, hi = int(inset * size), int((1 - inset) * size)
        cv2.rectangle(image, (lo, lo), (hi, hi), _ink(inks[(k + 1) % 4]), max(1, size // 60), cv2.LINE_AA)
    return np.clip(_read(image) * (1 + 0.12 * noise(size, rng, 0.4)[..., None]), 0, 1)


def letters(size: int, rng: np.random.Generator) -> Image:
    """A printed poster: coloured bands and lines of words of several sizes; shown once."""
    image = _canvas(colour(rng, 0.6, 0.95, 0.4), size)
    for _ in range(3):
        top = int(rng.uniform(0, size))
        cv2.rectangle(image, (0, top), (size, top + int(size * rng.uniform(0.05, 0.2))), _ink(colour(rng)), -1)
    y = 0.02 * size
    while y < size:
        scale = size / 512 * rng.uniform(0.5, 3.0)
        y += 26 * scale
        text = " ".join(rng.choice(_WORDS, int(rng.integers(1, 6))))
        at = (int(rng.uniform(-0.05, 0.15) * size), int(y))
        ink = _ink(colour(rng, 0.05, 0.4, 1.0))
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_DUPLEX, scale, ink, max(1, int(2 * scale)), cv2.LINE_AA)
        y += 8 * scale
    return _read(image) * (1 + 0.02 * noise(size, rng, 1.0)[..., None])


def painting(size: int, rng: np.random.Generator) -> Image:
    """A framed landscape: sky, hills and trees out of noise; shown once."""
    x, y = _grid(size)
    sky_a, sky_b = _rgb(0.45, 0.62, 0.85) * rng.uniform(0.7, 1.1), colour(rng, 0.7, 0.95, 0.5)
    image = _blend(np.clip(y * 1.6, 0, 1), np.broadcast_to(sky_a, (size, size, 3)), sky_b)
    image = _blend(np.clip(noise(size, rng, 1.6, (1.0, 2.5)) - 0.4, 0, 1) * 0.8, image, _rgb(0.97, 0.97, 0.95))
    for k in range(5):
        ridge = 0.35 + 0.13 * k + 0.06 * noise(size, rng, 1.4)[0]
        ink = colour(rng, 0.15, 0.55, 0.8) * _rgb(0.8, 1.15, 0.8)
        layer = ink * (1 + 0.25 * noise(size, rng, 0.7)[..., None])
        image = _blend((y > ridge[None, :]).astype(np.float32), image, layer)
    frame = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) > 0.46
    moulding = _rgb(0.35, 0.22, 0.10) * rng.uniform(0.5, 1.8) * (1 + 0.15 * noise(size, rng, 0.8)[..., None])
    return np.clip(_blend(frame.astype(np.float32), image, moulding), 0, 1)


def book_row(size: int, rng: np.random.Generator) -> Image:
    """A row of book spines with titles, of differing heights, before a dark shelf; shown once."""
    image = _canvas(_rgb(0.10, 0.07, 0.05), size)
    x = 0
    while x < size:
        width = max(3, int(size * rng.uniform(0.03, 0.075)))
        top = int(size * rng.uniform(0.04, 0.3))
        ink, print_ink = colour(rng, 0.15, 0.75, 1.2), colour(rng, 0.7, 0.98, 0.4)
        cv2.rectangle(image, (x, top), (x + width - 2, size), _ink(ink), -1)
        for at in rng.uniform(top / size + 0.03, 0.95, int(rng.integers(1, 4))):
            thick = max(1, int(size * rng.uniform(0.008, 0.03)))
            cv2.rectangle(image, (x, int(at * size)), (x + width - 2, int(at * size) + thick), _ink(print_ink), -1)
        for at in np.arange(top + 0.08 * size, 0.9 * size, max(2, 0.022 * size)):
            if rng.random() < 0.45:
                left = x + int(width * rng.uniform(0.2, 0.35))
                right = x + int(width * rng.uniform(0.6, 0.8))
                cv2.line(image, (left, int(at)), (right, int(at)), _ink(print_ink), max(1, size // 170))
        x += width + int(rng.random() < 0.1) * int(0.03 * size)
    return _read(image) * (1 + 0.04 * noise(size, rng, 0.8)[..., None])


def door(size: int, rng: np.random.Generator) -> Image:
    """A panelled door with a handle; shown once."""
    image = _canvas(wood(size, rng) * rng.uniform(0.9, 1.3), size)
    for x0, x1 in ((0.12, 0.46), (0.54, 0.88)):
        for y0, y1 in ((0.06, 0.3), (0.36, 0.58), (0.66, 0.94)):
            a, b = (int(x0 * size), int(y0 * size)), (int(x1 * size), int(y1 * size))
            cv2.rectangle(image, a, b, _ink((0.15, 0.1, 0.06)), max(1, size // 60), cv2.LINE_AA)
            cv2.line(image, (a[0], b[1]), b, _ink((0.85, 0.7, 0.5)), max(1, size // 100), cv2.LINE_AA)
    knob = (int(0.93 * size), int(0.55 * size))
    cv2.circle(image, knob, max(2, size // 40), _ink((0.85, 0.75, 0.35)), -1, cv2.LINE_AA)
    return _read(image)


def window(size: int, rng: np.random.Generator) -> Image:
    """A window of four panes with a bright view outside; shown once."""
    image = _canvas(0.35 + 0.65 * painting(size, rng), size)
    thick = max(2, size // 22)
    for at in (0, size // 2, size - 1):
        cv2.line(image, (at, 0), (at, size), _ink((0.93, 0.92, 0.88)), thick)
        cv2.line(image, (0, at), (size, at), _ink((0.93, 0.92, 0.88)), thick)
    return _read(image)


def drawers(size: int, rng: np.random.Generator) -> Image:
    """The front of a chest of drawers with knobs; shown once."""
    image = _canvas(wood(size, rng), size)
    rows, cols = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    for r in range(rows):
        for c in range(cols):
            a = (int((c + 0.06) / cols * size), int((r + 0.08) / rows * size))
            b = (int((c + 0.94) / cols * size), int((r + 0.92) / rows * size))
            cv2.rectangle(image, a, b, _ink((0.12, 0.08, 0.05)), max(1, size // 80), cv2.LINE_AA)
            middle = ((a[0] + b[0]) // 2, (a[1] + b[1]) // 2)
            cv2.circle(image, middle, max(2, size // 45), _ink((0.9, 0.82, 0.55)), -1, cv2.LINE_AA)
    return _read(image)


def facade(size: int, rng: np.random.Generator) -> Image:
    """House front: storeys of windows on plaster or brick."""
    image = _canvas((bricks if rng.random() < 0.5 else rough)(size, rng) * 0.9, size)
    rows, cols = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    frame, glass = _ink(colour(rng, 0.7, 0.95, 0.2)), colour(rng, 0.1, 0.35, 0.4)
    w, h = rng.uniform(0.3, 0.6), rng.uniform(0.45, 0.7)
    for r in range(rows):
        for c in range(cols):
            a = (int((c + 0.5 - w / 2) / cols * size), int((r + 0.5 - h / 2) / rows * size))
            b = (int((c + 0.5 + w / 2) / cols * size), int((r + 0.5 + h / 2) / rows * size))
            cv2.rectangle(image, a, b, _ink(glass * rng.uniform(0.5, 2.2)), -1)
            cv2.rectangle(image, a, b, frame, max(1, size // 100), cv2.LINE_AA)
            cv2.line(image, ((a[0] + b[0]) // 2, a[1]), ((a[0] + b[0]) // 2, b[1]), frame, max(1, size // 128))
            cv2.line(image, (a[0], (2 * a[1] + b[1]) // 3), (b[0], (2 * a[1] + b[1]) // 3), frame, max(1, size // 128))
    return _read(image)


def asphalt(size: int, rng: np.random.Generator) -> Image:
    """Road surface: grey grit with patches and cracks."""
    base = colour(rng, 0.28, 0.42, 0.06)
    image = base * (1 + 0.12 * noise(size, rng, 1.0)[..., None] + 0.16 * noise(size, rng, 0.15)[..., None])
    crack = np.abs(noise(size, rng, 1.7)) < 0.02
    return np.clip(_blend(0.6 * crack.astype(np.float32), image, _rgb(0.1, 0.1, 0.1)), 0, 1)


def grass(size: int, rng: np.random.Generator) -> Image:
    """Grass, leaves: green many-octave noise with blades."""
    a, b = _rgb(0.16, 0.28, 0.08), _rgb(0.48, 0.58, 0.22) * rng.uniform(0.8, 1.2)
    n = 0.6 * noise(size, rng, 0.9) + 0.6 * noise(size, rng, 0.3, (1.0, 3.0))
    return np.clip(_blend(1 / (1 + np.exp(-1.6 * n)), a, b), 0, 1)


def sky(size: int, rng: np.random.Generator) -> Image:
    """Clouds on blue or grey."""
    blue = _rgb(0.40, 0.58, 0.86) * rng.uniform(0.8, 1.1)
    cover = np.clip(0.5 * noise(size, rng, 1.7, (1.0, 2.0)) + rng.uniform(-0.2, 0.6), 0, 1)
    return np.clip(_blend(cover, np.broadcast_to(blue, (size, size, 3)), _rgb(0.95, 0.95, 0.96)), 0, 1)


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        plaster, rough, wallpaper, shapes, bricks, tiles, wood, planks, fabric, rug, letters, painting, book_row, door,
        window, drawers, facade, asphalt, grass, sky,
    )
}  # fmt: skip
"""Every kind of texture by name."""

PICTURE_KINDS = frozenset({"rug", "letters", "painting", "book_row", "door", "window", "drawers"})
"""Kinds that are shown once over a whole surface."""
