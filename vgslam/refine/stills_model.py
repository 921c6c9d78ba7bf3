"""Structure from motion over a set of stills: the largest model that matched features alone determine.

The images are added one by one to the pair that determines depth best, each by landmarks that others have given, with
an adjustment after each and a filter of what does not fit (Schoenberger and Frahm, CVPR 2016). No image is added by
its motion from another alone, which says nothing of the step's length. pycolmap has the steps; features and matches are
the map's own kind.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.frontend.matching import ImageFeatures, MatcherConfig, match
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.graph.roots import Roots
from vgslam.refine.adjust import Watch
from vgslam.refine.ceres import load_pycolmap
from vgslam.refine.problem import Mask
from vgslam.reloc.epipolar_check import Matched, epipolar_agreement
from vgslam.reloc.locate import obey_epipolar
from vgslam.reloc.places import PlaceIndex
from vgslam.reloc.vocabulary import shipped_vocabulary
from vgslam.types import Array, Ids

MATCHER = MatcherConfig()
N_ALIKE, N_NEXT = 20, 3
"""Each image is matched with those that look most alike, and with those that come next: all pairs of a hundred images
would take a minute."""
LEAST_MATCHES = 15
"""Matches of one epipolar geometry by which two images are thought to show the same."""
LEAST_START, MAX_ERROR_PX, MIN_RATIO = 50, 6.0, 0.4
"""Matches of the first pair; error of a landmark by which an image is added, and the least share of those that fit."""
HELD_BY, LEAST_VIEWS = 20, 3
"""An image is held by this many landmarks that this many images see: what two see fits any length of the step between
them."""
AGREEING = 0.85
"""Share of an image's matches that have to agree with the poses. Most make no landmark, and so have not been asked: .89
and more agree with right poses, .8 and less where a model was begun or went on wrongly, though its landmarks fit."""
PIXEL_CORNER = 0.5
"""pycolmap's pixels are counted from the corner of the image, not from the centre of its first pixel."""


Pairs = dict[tuple[int, int], tuple[Array, Array]]
"""Matched pixels (n,2) of images a and b, by their numbers."""


@dataclass(frozen=True)
class StillsModel:
    """Images with their poses, and the landmarks that they see. Its unit of length is its own."""

    images: Ids
    """(C,): numbers of the images, ascending."""
    T_world_cam: Array
    """(C,4,4)."""
    points: Array
    """(L,3)."""
    cam: Ids
    """(M,): the row in `images` of an observation; each sees a landmark once."""
    point: Ids
    """(M,)."""
    pixels: Array
    """(M,2)."""


def solve_stills(features: Sequence[ImageFeatures], camera: Camera, watch: Watch) -> StillsModel | None:
    """The largest model of the images; None if there is none. Raises InterruptedRefinementError, and OSError where
    there is no room for its temporary files."""
    with tempfile.TemporaryDirectory(prefix="vgslam-stills-") as folder:
        path = Path(folder) / "matches.db"
        pairs = _write(path, features, camera, watch)
        if not pairs:
            return None
        watch.check()
        pycolmap = load_pycolmap()
        level, pycolmap.logging.minloglevel = pycolmap.logging.minloglevel, int(pycolmap.logging.FATAL)
        try:  # that there is no model is no error
            models = pycolmap.incremental_mapping(path, folder, folder, _options(pycolmap))
        finally:
            pycolmap.logging.minloglevel = level
    best = max(models.values(), key=lambda model: int(model.num_reg_images()), default=None)
    if best is None:
        return None
    model = _read(best)
    return held(model, agreements(model, pairs, camera))


def pairs_to_match(features: Sequence[ImageFeatures]) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of images that look alike or follow one another, ascending."""
    index, n = PlaceIndex(), len(features)
    codes = [shipped_vocabulary().bits(f.descriptors) for f in features]
    for code in codes:
        index.add(code)
    pairs = {(a, b) for a in range(n) for b in range(a + 1, min(a + 1 + N_NEXT, n))}
    for a in range(n):
        pairs |= {(min(a, b), max(a, b)) for b in index.search(codes[a], N_ALIKE + 1)[0].tolist() if b != a}
    return sorted(pairs)


@dataclass(frozen=True)
class Agreements:
    """Pairs of a model's images, as rows of it, (P,) each, how many matches they have and how many agree with it."""

    a: Ids
    b: Ids
    n: Ids
    n_agreeing: Array

    def links(self, n_images: int) -> Array:
        """(C,C): matches that agree of each two images, symmetric."""
        out = np.zeros((n_images, n_images))
        out[self.a, self.b] = out[self.b, self.a] = self.n_agreeing
        return out

    def shares(self, is_held: Mask) -> Array:
        """(C,): share of the matches with images that are held that agrees; 1 where there are none."""
        both = is_held[self.a] & is_held[self.b]
        ends = np.concatenate([self.a[both], self.b[both]])
        n, agreeing = (
            np.bincount(ends, np.tile(of[both], 2), minlength=len(is_held)) for of in (self.n, self.n_agreeing)
        )
        return np.where(n > 0, agreeing / np.maximum(n, 1), 1.0)


def agreements(model: StillsModel, pairs: Pairs, camera: Camera) -> Agreements:
    """What matches, pixels (n,2) of each pair of images, say of a model's poses."""
    row = {image: c for c, image in enumerate(model.images.tolist())}
    T = se3.inverse(model.T_world_cam)
    found = []
    for (a, b), (px_a, px_b) in pairs.items():
        if a in row and b in row:
            T_b_a = T[row[b]] @ model.T_world_cam[row[a]]
            share = epipolar_agreement(Matched(px_a, px_b, camera, camera), T_b_a)
            found.append((row[a], row[b], len(px_a), share * len(px_a)))
    columns = np.array(found, np.float64).reshape(-1, 4).T
    return Agreements(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2].astype(np.int64), columns[3])


def held(model: StillsModel, agreements: Agreements) -> StillsModel | None:
    """The images of a model that enough landmarks hold, whose matches agree with it, and that hang together; None if
    that leaves fewer than three. What hangs on an image that goes is looked at again."""
    n_images, n_points = len(model.images), len(model.points)
    links = agreements.links(n_images) >= LEAST_MATCHES
    is_held = np.ones(n_images, bool)
    while True:
        before = is_held
        is_held = largest_part(links, is_held)
        mine = is_held[model.cam]
        views = np.bincount(model.point[mine], minlength=n_points)
        seen = np.bincount(model.cam[mine & (views >= LEAST_VIEWS)[model.point]], minlength=n_images)
        is_held = is_held & (seen >= HELD_BY)
        shares = np.where(is_held, agreements.shares(is_held), 1.0)
        if shares.min(initial=1.0) < AGREEING:
            is_held[shares.argmin()] = False  # the others may agree without it
        if (is_held == before).all():
            break
    if is_held.sum() < LEAST_VIEWS:
        return None
    rows = np.flatnonzero(mine & (views >= 2)[model.point])
    points, point = np.unique(model.point[rows], return_inverse=True)
    cam = np.cumsum(is_held)[model.cam[rows]] - 1
    return StillsModel(
        model.images[is_held], model.T_world_cam[is_held], model.points[points], cam, point.reshape(-1),
        model.pixels[rows],
    )  # fmt: skip


def largest_part(links: Mask, is_in: Mask) -> Mask:
    """(C,): those of the images `is_in` (C,) in the largest part that links (C,C) tie together; of equal ones the
    first."""
    roots = Roots()
    for a, b in np.argwhere(links & is_in & is_in[:, None]).tolist():
        roots.join(a, b)
    part = np.where(is_in, [roots.of(n) for n in range(len(is_in))], -1)
    sizes = [int((part == p).sum()) if p >= 0 else 0 for p in part]
    return is_in & (part == part[int(np.argmax(sizes))])


def _write(path: Path, features: Sequence[ImageFeatures], camera: Camera, watch: Watch) -> Pairs:
    """The images' features and matches, as pycolmap reads them: image n is number n + 1. Returns the matches."""
    pycolmap = load_pycolmap()
    c, px = _camera(pycolmap, camera), [f.pixels + PIXEL_CORNER for f in features]
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = 0
    database, pairs = pycolmap.Database.open(path), Pairs()
    try:
        with pycolmap.DatabaseTransaction(database):
            _write_images(pycolmap, database, c, px)
            for a, b in pairs_to_match(features):
                watch.check()
                rows = np.stack(match(features[a], features[b], MATCHER), axis=1).astype(np.uint32)
                rows = rows[obey_epipolar(px[a][rows[:, 0]], px[b][rows[:, 1]])]
                if len(rows) < LEAST_MATCHES:
                    continue
                found = pycolmap.estimate_calibrated_two_view_geometry(c, px[a], c, px[b], rows, options)
                if len(found.inlier_matches) >= LEAST_MATCHES:
                    database.write_matches(a + 1, b + 1, rows)
                    database.write_two_view_geometry(a + 1, b + 1, found)
                    pairs[a, b] = features[a].pixels[rows[:, 0]], features[b].pixels[rows[:, 1]]
    finally:
        database.close()
    return pairs


def _write_images(pycolmap: Any, database: Any, camera: Any, px: Sequence[Array]) -> None:
    """Images with their features at px (n,2), of one camera."""
    sensor = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, database.write_camera(camera))
    rig = pycolmap.Rig(rig_id=1)
    rig.add_ref_sensor(sensor)
    database.write_rig(rig, use_rig_id=True)
    for n, pixels in enumerate(px, 1):
        image = pycolmap.Image(name=f"{n:06d}", camera_id=sensor.id, image_id=n)
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=n, rig_id=1)
        frame.add_data_id(pycolmap.data_t(sensor, n))
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(n, pixels.astype(np.float32))


def _camera(pycolmap: Any, camera: Camera) -> Any:
    centre = camera.cx + PIXEL_CORNER, camera.cy + PIXEL_CORNER
    c = pycolmap.Camera(
        model="PINHOLE", width=camera.width, height=camera.height, params=[camera.fx, camera.fy, *centre]
    )
    c.has_prior_focal_length = True
    return c


def _options(pycolmap: Any) -> Any:
    """One thread and fixed seeds: the result is the same every time. The camera stays: the map's adjustment decides
    on it."""
    o = pycolmap.IncrementalPipelineOptions()
    for part in (o, o.mapper):
        part.num_threads = 1
    for part in (o, o.mapper, o.triangulation):
        part.random_seed = 0
    o.multiple_models, o.min_model_size = False, LEAST_VIEWS
    o.extract_colors = o.structure_less_registration_fallback = False
    o.ba_refine_focal_length = o.ba_refine_extra_params = False
    m = o.mapper
    m.abs_pose_refine_focal_length = m.abs_pose_refine_extra_params = False
    m.init_min_num_inliers = LEAST_START
    m.abs_pose_min_num_inliers = HELD_BY
    m.abs_pose_max_error, m.abs_pose_min_inlier_ratio = MAX_ERROR_PX, MIN_RATIO
    return o


def _read(model: Any) -> StillsModel:
    numbers = sorted(model.reg_image_ids())
    row = {number: n for n, number in enumerate(numbers)}
    T = np.tile(np.eye(4), (len(numbers), 1, 1))
    for n, number in enumerate(numbers):
        T[n, :3] = model.image(number).cam_from_world().inverse().matrix()
    points, seen, pixels = [], list[tuple[int, int]](), []
    for n, id_ in enumerate(sorted(model.point3D_ids())):
        point = model.point3D(id_)
        points.append(point.xyz)
        track = {row[e.image_id]: model.image(e.image_id).point2D(e.point2D_idx).xy for e in point.track.elements}
        seen += [(c, n) for c in track]
        pixels += list(track.values())
    cam, point_of = np.array(seen, np.int64).reshape(-1, 2).T
    at = np.array(pixels, np.float64).reshape(-1, 2) - PIXEL_CORNER
    return StillsModel(np.array(numbers) - 1, T, np.array(points).reshape(-1, 3), cam, point_of, at)
