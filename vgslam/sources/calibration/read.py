"""Reads calibration files of any known layout; of a file with several cameras FILE#NAME, or the one that fits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vgslam.errors import CalibrationError
from vgslam.sources.calibration.document import (
    Document,
    Rows,
    read_bytes,
    read_document,
    read_named,
    read_text,
    rows_of,
)
from vgslam.sources.calibration.flat import read_flat
from vgslam.sources.calibration.foreign import why_foreign
from vgslam.sources.calibration.groups import cameras_flat
from vgslam.sources.calibration.lens import family, make_camera
from vgslam.sources.calibration.photogrammetry import ALICEVISION, METASHAPE, OPENMVG, SCANNET
from vgslam.sources.calibration.plausible import check_plausible, check_stated_size, is_same_aspect
from vgslam.sources.calibration.reconstructions import COLMAP, NERFSTUDIO, OPEN3D, OPENSFM, rows_of_bin
from vgslam.sources.calibration.slam_systems import DSO, KALIBR, KITTI, NUMBERS, ORB_SLAM, SVO
from vgslam.sources.calibration.stated import Given, Layout, NoFocal, NotCalibrated, Size, Stated
from vgslam.types import Camera

Say = Callable[[str], object]

_ENDINGS = frozenset({".json", ".yaml", ".yml", ".txt", ".xml", ".bin", ".npz", ".ini", ".toml", ".conf"})
LAYOUTS: tuple[Layout[Document], ...] = (
    ORB_SLAM, SVO, KALIBR, OPENMVG, ALICEVISION, SCANNET, OPENSFM, NERFSTUDIO, OPEN3D, METASHAPE, KITTI,
    Layout(lambda _: True, read_flat, cameras_flat),
)  # fmt: skip
"""In the order in which they are asked; the last takes the rest."""
ROW_LAYOUTS: tuple[Layout[Rows], ...] = (COLMAP, DSO, NUMBERS)


def read_calibration(
    path: Path, image_size: Size | None = None, say: Say | None = None, is_chosen: bool = False
) -> Camera | None:
    """Camera of a calibration file in any layout of docs/calibration.md; None when it says that the camera is not
    calibrated (fx null, a matrix of zeros).

    Of several cameras FILE#NAME takes one by its name, else it is chosen by image_size (`choose`), which also stands in
    for a resolution that is not stated. fy defaults to fx, cx and cy to the middle of the image. `say` is told, in a
    line each, what was left out. A file with a size alone is refused if `is_chosen`, by --calib; beside a sequence it
    says that the focal length is not known. Raises CalibrationError, naming the file and the field, also for a camera
    that cannot be.
    """
    given, (path, name) = path, split_name(path)
    if path.is_dir():
        raise CalibrationError(f"{given}: is a folder; give the file in it{_files_in(path)}")
    if not path.exists():
        raise CalibrationError(f"{given}: no such calibration file; give a JSON or YAML file")
    try:
        read = _stated(path, image_size, name)
        camera = _camera(read, image_size)
    except NotCalibrated as reason:
        if is_chosen and isinstance(reason, NoFocal):
            raise CalibrationError(f"{path}: {reason}") from reason
        if say is not None:
            say(f"{path}: says that the camera is not calibrated ({reason}); --fov-deg gives its field of view")
        return None
    except (ValueError, ArithmeticError) as err:  # of numbers beyond all measure
        raise CalibrationError(f"{path}: {err}") from err
    if say is not None:
        for line in read.notes:
            say(f"{path}: {line}")
    return camera


def _files_in(folder: Path) -> str:
    """Some files of a folder that may be calibrations, in brackets."""
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in _ENDINGS)
    return f" ({', '.join(names[:4])}{', ...' if names[4:] else ''})" if names else ""


def camera_from_document(document: Document, image_size: Size | None = None) -> Camera | None:
    """Camera of named fields; None where it says that it is not calibrated. Raises ValueError, naming the field."""
    try:
        return _camera(_of_document(document, image_size, None), image_size)
    except NotCalibrated:
        return None
    except ArithmeticError as err:
        raise ValueError(str(err)) from err


def with_projection(camera: Camera, P: list[float], corner: tuple[float, float] = (0.0, 0.0)) -> Camera:
    """Camera of rectified images: the left 3x3 of P (3,4), row-major. corner: the pixel of P's image where its own
    begin."""
    return replace(camera.undistorted(), fx=P[0], fy=P[5], cx=P[2] - corner[0], cy=P[6] - corner[1])


def _stated(path: Path, size: Size | None, name: str | None) -> Stated:
    suffix = path.suffix.lower()
    if suffix == ".bin":
        return _of(COLMAP, rows_of_bin(read_bytes(path)), size, name)
    if suffix in (".npz", ".npy"):
        return _of_document(read_document(path), size, name)
    text = read_text(path)
    foreign = why_foreign(text)
    if foreign is not None:
        raise ValueError(foreign)
    if suffix in (".xml", ".json"):
        return _of_document(read_document(path), size, name)
    rows = rows_of(text)
    for layout in ROW_LAYOUTS:
        if rows and layout.matches(rows):
            return _of(layout, rows, size, name)
    return _of_document(read_named(text) or read_document(path), size, name)


def _of_document(document: Document, size: Size | None, name: str | None) -> Stated:
    return _of(next(layout for layout in LAYOUTS if layout.matches(document)), document, size, name)


def _of(layout: Layout[Given], given: Given, size: Size | None, name: str | None) -> Stated:
    """The camera `name`, or the one that is taken without a name, which is said where there are others."""
    cameras = layout.cameras(given)
    if len(cameras) < 2 and name is None:
        return layout.read(given, size)
    if not cameras:
        raise ValueError(f"holds one camera, which has no name; leave #{name} out")
    sizes = {one: _size(layout, camera) for one, camera in cameras.items()}
    possible = {one: of for one, of in sizes.items() if of is not None or _may_be(layout, cameras[one], size)}
    taken = choose(sizes if name is not None else possible or sizes, name, size, layout.is_first_taken)
    read = layout.read(cameras[taken], size)
    return read if name is not None else replace(read, notes=(note(sizes, taken), *read.notes))


def _size(layout: Layout[Given], camera: Given) -> Size | None:
    """The size that a camera is for, None where that cannot be read: it may not be the one that is taken."""
    try:
        return layout.read(camera, None).size
    except (ValueError, NotCalibrated):
        return None


def _may_be(layout: Layout[Given], camera: Given, image: Size | None) -> bool:
    """Whether a camera without a size may be one for images of that size."""
    if image is None:
        return True
    try:
        _camera(layout.read(camera, image), image)
    except (ValueError, ArithmeticError):
        return False
    except NotCalibrated:
        return True
    return True


def _camera(read: Stated, image_size: Size | None) -> Camera:
    size = read.size or image_size
    if size is None:
        raise ValueError("camera width and height are missing; add the resolution of the calibration images")
    cx, cy = ((n - 1) / 2 if c is None else c for n, c in zip(size, (read.cx, read.cy), strict=True))
    four = (read.fx, read.fy, cx, cy)
    check_plausible(Camera(*four, *size, is_fisheye=family(read.model) not in ("pinhole", "radtan")))
    if read.size is None and read.cx is not None and read.cy is not None:
        check_stated_size(Camera(*four, *size))
    return make_camera(four, size, read.model, read.coefficients)


MOST_LISTED = 6
"""So many cameras are named in a line."""


def split_name(path: Path) -> tuple[Path, str | None]:
    """FILE and NAME of FILE#NAME, a file and one of its cameras; (path, None) without NAME, or where the file is called
    so."""
    text = str(path)
    places = [i for i, letter in enumerate(text) if letter == "#" and 0 < i < len(text) - 1]
    if not places or path.exists():
        return path, None
    at = next((i for i in places if Path(text[:i]).is_file()), places[0])
    return Path(text[:at]), text[at + 1 :]


def choose(
    held: Mapping[str, Size | None], wanted: str | None, image: Size | None, is_first_taken: bool = True
) -> str:  # fmt: skip
    """The name of one of several cameras, given with the sizes of their images as far as known. Without a wanted one,
    the first for images of that size, else of that aspect or without a size. Raises ValueError where there is none;
    with is_first_taken false also where several are."""
    if wanted is not None:
        found = [name for name in held if name.casefold() == wanted.casefold()]
        if not found:
            raise ValueError(f"has no camera '{wanted}'; its cameras: {listed(held)}")
        return found[0]
    fitting = _fitting(held, image)
    if not fitting and image is not None:
        raise ValueError(f"none of its cameras is for images of {image[0]}x{image[1]}: {listed(held)}")
    if len(fitting) > 1 and not is_first_taken:
        raise ValueError(f"has {len(held)} different cameras ({listed(held)}); name one, as in FILE#{fitting[0]}")
    return fitting[0]


def note(held: Mapping[str, Size | None], taken: str) -> str:
    """A line that says which camera is used, and how to have another."""
    others = {name: size for name, size in held.items() if name != taken}
    return (f"calibration: camera {_with_size(taken, held[taken])} is used, not {listed(others)}; "
            f"FILE#{next(iter(others))} takes another")  # fmt: skip


def listed(held: Mapping[str, Size | None]) -> str:
    """The cameras in words."""
    words = [_with_size(name, size) for name, size in list(held.items())[:MOST_LISTED]]
    more = len(held) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _with_size(name: str, size: Size | None) -> str:
    return name if size is None else f"{name} ({size[0]}x{size[1]})"


def _fitting(held: Mapping[str, Size | None], image: Size | None) -> list[str]:
    if image is None:
        return list(held)
    exact = [name for name, size in held.items() if size == image]
    return exact or [name for name, size in held.items() if size is None or is_same_aspect(size, image)]
