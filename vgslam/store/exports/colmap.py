"""A component as a COLMAP model: cameras, images with observations, points with tracks.

Format: https://colmap.github.io/format.html. COLMAP's pixel (0.5, 0.5) is the centre of the top-left pixel, ours is
(0, 0). Poses are T_cam_world as quaternion (w, x, y, z) and translation; the axes are ours.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.geometry import se3
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import OTHER_PLACE, image_names, write_images
from vgslam.types import Array, Camera, Ids

_SIMPLE_PINHOLE, _PINHOLE = 0, 1
_PIXEL_CENTRE = 0.5
SAME_FOCAL = 1e-9  # relative difference of fx and fy that is rounding


@dataclass(frozen=True)
class ColmapImage:
    """One image of a COLMAP model."""

    id: int  # image id; ids count from 1
    camera_id: int
    name: str
    qvec: Array  # (4,): quaternion w x y z of T_cam_world
    tvec: Array  # (3,): translation of T_cam_world
    pixels: Array  # (n,2) in COLMAP's convention
    point_ids: Ids  # (n,); -1 where the pixel belongs to no point


@dataclass(frozen=True)
class ColmapPoint:
    """One point: its mean reprojection error (px) and its track: image ids and indices into their pixels."""

    id: int
    xyz: Array
    color: tuple[int, int, int]
    error_px: float
    track: list[tuple[int, int]]


@dataclass(frozen=True)
class ColmapModel:
    """The content of the three files."""

    cameras: list[Camera]
    images: list[ColmapImage]
    points: list[ColmapPoint]


def export_colmap(component: Component, out: Path, is_text: bool = False) -> str:
    """OUT/sparse/0/{cameras,images,points3D} (.bin, or .txt), OUT/images and images.csv, which has their times. Returns
    what was written, in words. Points are triangulated landmarks seen by at least two keyframes. Raises OutputError."""
    model = colmap_model(component)
    write_images(component, out)
    folder = out / "sparse" / "0"
    make_folder(folder, OTHER_PLACE)
    write_model_text(model, folder) if is_text else write_model_binary(model, folder)
    return f"{len(model.cameras)} camera(s), {len(model.images)} images, {len(model.points)} points"


def colmap_model(component: Component) -> ColmapModel:
    """The component in COLMAP's terms."""
    m, keyframes = component.slam_map, component.keyframes
    camera_ids: dict[Camera, int] = {}
    is_sure = np.zeros(len(m.landmarks), bool)
    is_sure[component.landmark_ids()] = True
    n_views = np.zeros(len(m.landmarks), np.int64)
    for k in keyframes:
        np.add.at(n_views, m.observed[k.id].ids, 1)
    kept = np.flatnonzero(is_sure & (n_views >= 2))
    number = np.full(len(m.landmarks), -1)
    number[kept] = np.arange(1, len(kept) + 1)
    tracks: list[list[tuple[int, int]]] = [[] for _ in kept]
    errors: list[list[float]] = [[] for _ in kept]
    images, names = [], image_names(component)
    for k in keyframes:
        T_cam_world = se3.inverse(k.S_world_keyframe.pose)
        ids, px = m.observed[k.id]
        points = number[ids]
        x, y, z, w = se3.quaternion_from_rotation(T_cam_world[:3, :3])
        images.append(ColmapImage(
            k.id + 1, camera_ids.setdefault(k.camera, len(camera_ids) + 1), names[k.id],
            np.array([w, x, y, z]), T_cam_world[:3, 3], px + _PIXEL_CENTRE, points,
        ))  # fmt: skip
        local = se3.transform(T_cam_world, m.landmarks_world(ids))
        error = np.linalg.norm(k.camera.project(local) - px, axis=1)
        for i, point in enumerate(points.tolist()):
            if point > 0:
                tracks[point - 1].append((k.id + 1, i))
                errors[point - 1].append(float(error[i]))
    xyz, color = m.landmarks_world(kept), m.landmarks.color[kept].tolist()
    found = [
        ColmapPoint(i + 1, xyz[i], tuple(color[i]), float(np.mean(errors[i])), tracks[i]) for i in range(len(kept))
    ]
    return ColmapModel(list(camera_ids), images, found)


def _parameters(camera: Camera) -> tuple[float, ...]:
    """(f, cx, cy) of a camera with square pixels, else (fx, fy, cx, cy)."""
    centre = camera.cx + _PIXEL_CENTRE, camera.cy + _PIXEL_CENTRE
    return (camera.fx, *centre) if _is_simple(camera) else (camera.fx, camera.fy, *centre)


def _is_simple(camera: Camera) -> bool:
    return abs(camera.fx - camera.fy) < SAME_FOCAL * camera.fx


def write_model_text(model: ColmapModel, folder: Path) -> None:
    """cameras.txt, images.txt, points3D.txt. Raises OutputError."""
    cameras = [
        f"{i} {'SIMPLE_PINHOLE' if _is_simple(c) else 'PINHOLE'} {c.width} {c.height} {_words(_parameters(c))}"
        for i, c in enumerate(model.cameras, start=1)
    ]
    images = []
    for image in model.images:
        pose = _words((*image.qvec, *image.tvec))
        images.append(f"{image.id} {pose} {image.camera_id} {image.name}")
        images.append(" ".join(f"{_words(p)} {i}" for p, i in zip(image.pixels, image.point_ids, strict=True)))
    points = [
        f"{p.id} {_words(p.xyz)} {p.color[0]} {p.color[1]} {p.color[2]} {p.error_px:.6g} "
        + " ".join(f"{image} {index}" for image, index in p.track)
        for p in model.points
    ]
    for name, lines in (("cameras", cameras), ("images", images), ("points3D", points)):
        write_text(folder / f"{name}.txt", "".join(line + "\n" for line in lines))


def _words(numbers: object) -> str:
    return " ".join(f"{x:.17g}" for x in np.asarray(numbers, np.float64).tolist())


def write_model_binary(model: ColmapModel, folder: Path) -> None:
    """cameras.bin, images.bin, points3D.bin, little-endian. Raises OutputError."""
    data = [struct.pack("<Q", len(model.cameras))]
    for i, c in enumerate(model.cameras, start=1):
        kind, parameters = _SIMPLE_PINHOLE if _is_simple(c) else _PINHOLE, _parameters(c)
        data.append(struct.pack(f"<iiQQ{len(parameters)}d", i, kind, c.width, c.height, *parameters))
    write_bytes(folder / "cameras.bin", b"".join(data))
    pairs = np.dtype([("xy", "<f8", 2), ("id", "<i8")])
    data = [struct.pack("<Q", len(model.images))]
    for image in model.images:
        observations = np.zeros(len(image.pixels), pairs)
        observations["xy"], observations["id"] = image.pixels, image.point_ids
        data.append(struct.pack("<i7di", image.id, *image.qvec, *image.tvec, image.camera_id))
        data += [image.name.encode() + b"\0", struct.pack("<Q", len(observations)), observations.tobytes()]
    write_bytes(folder / "images.bin", b"".join(data))
    data = [struct.pack("<Q", len(model.points))]
    for p in model.points:
        data.append(struct.pack("<Q3d3BdQ", p.id, *p.xyz, *p.color, p.error_px, len(p.track)))
        data.append(np.array(p.track, "<i4").tobytes())
    write_bytes(folder / "points3D.bin", b"".join(data))
