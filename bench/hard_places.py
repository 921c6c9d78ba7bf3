"""Mapped places with what is asked of them: images whose pose in the map is known, and images of other places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.hard_images import CHANGES
from bench.hard_worlds import FOREIGN_WORLDS, WORLDS, Asked, HardWorld, foreign, map_walk, views, walk
from vgslam.evaluation.alignment import align
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.store.open import load_map
from vgslam.types import Array, Image


@dataclass(frozen=True)
class HardQuery:
    """An image whose pose is asked for; T_world_cam is that in the world of the truth, None for another place."""

    kind: str
    image: Image
    T_world_cam: Array | None
    source: str
    camera: Camera | None = None  # the camera of the image; None for that of the map


@dataclass(frozen=True)
class Gauge:
    """What brings poses of the map to the truth: the mapped frame nearest to the true pose, and the scale of the map.

    So what is measured is where a camera is in what the map shows there, not how much the map itself is bent.
    """

    T_map_frames: Array  # (N,4,4), of the mapped frames
    T_truth_frames: Array  # (N,4,4)
    scale: float  # units of the truth in one of the map
    depth: float  # median depth of the map's landmarks in units of the truth: the size of what is seen

    def nearest(self, T_truth_cam: Array) -> int:
        """The row of the mapped frame nearest to a true pose; a half turn counts as much as the depth."""
        apart = np.linalg.norm(self.T_truth_frames[:, :3, 3] - T_truth_cam[:3, 3], axis=1) / self.depth
        return int(np.argmin(apart + 0.5 * (1.0 - self.T_truth_frames[:, :3, 2] @ T_truth_cam[:3, 2])))

    def true_in_map(self, T_truth_cam: Array) -> Array:
        """A true pose (4,4) in the world and the units of the map."""
        i = self.nearest(T_truth_cam)
        T = se3.inverse(self.T_truth_frames[i]) @ T_truth_cam
        return self.T_map_frames[i] @ se3.from_rt(T[:3, :3], T[:3, 3] / self.scale)

    def error(self, T_map_cam: Array, T_truth_cam: Array) -> tuple[float, float]:
        """Distance of a pose from the true one, as a share of the depth, and angle in degrees."""
        T = self.true_in_map(T_truth_cam)
        apart = float(np.linalg.norm(T_map_cam[:3, 3] - T[:3, 3]))
        return apart * self.scale / self.depth, se3.angle_deg(T_map_cam[:3, :3].T @ T[:3, :3])


@dataclass(frozen=True)
class Place:
    """A map, its truth, and what is asked of it."""

    name: str
    map_folder: Path
    gauge: Gauge
    queries: list[HardQuery]


def gauge(slam_map: SlamMap, truth: Array) -> Gauge:
    """The gauge of a map whose frames have true poses (N,4,4) by their ids."""
    found = slam_map.trajectory()
    true = truth[found.frame_ids]
    scale = align(true, found.T_world_cam, with_scale=True).S_ref_est.s
    z = slam_map.landmarks.xyz_host[slam_map.landmarks.is_triangulated][:, 2]
    return Gauge(found.T_world_cam, true, scale, scale * float(np.median(z)))


def changed(images: Sequence[Image], poses: Array | None, source: str, seed: int) -> list[HardQuery]:
    """Every image with the next of the changes of `hard_images`, in turn; poses (N,4,4), None for another place."""
    names = list(CHANGES)
    out = []
    for i, image in enumerate(images):
        kind = names[i % len(names)]
        made = CHANGES[kind](image, np.random.default_rng([seed, i]))
        out.append(HardQuery(kind, made, None if poses is None else poses[i], source))
    return out


def rendered_place(which: HardWorld, wanted: dict[str, int], cache: Path) -> Place:
    """A rendered world, mapped and asked; what takes long is kept in a folder for the next time."""
    folder, films = cache / f"{which.name}-map", cache / f"{which.name}.npz"
    if not (folder.exists() and films.exists()):
        seen = walk(which)
        map_walk(seen, folder)
        asked = views(which, seen, wanted)
        np.savez_compressed(
            films, truth=seen.T_world_cam, images=[a.image for a in asked], poses=[a.T_world_cam for a in asked],
            kinds=[a.kind for a in asked], angles=[a.angle_deg for a in asked],
        )  # fmt: skip
    with np.load(films) as z:
        rows = zip(z["kinds"].tolist(), z["images"], z["poses"], z["angles"].tolist(), strict=True)
        asked, truth = [Asked(*row) for row in rows], z["truth"]
    worse = changed([a.image for a in asked], np.array([a.T_world_cam for a in asked]), which.name, which.seed)
    queries = [replace(q, kind=a.kind) for q, a in zip(worse, asked, strict=True)]
    return Place(which.name, folder, gauge(load_map(folder), truth), queries)


def rendered_places(per_kind: int, cache: Path, show: Callable[[str], None]) -> list[Place]:
    """All worlds, with up to `per_kind` views of each kind in each."""
    out = []
    for which in WORLDS:
        kinds = ("poor",) if which.is_poor else ("view 15-30", "view 30-45", "view 45-60")
        wanted = dict.fromkeys(kinds, 4 * per_kind // 3 if which.is_poor else per_kind)
        out.append(rendered_place(which, wanted, cache))
        show(f"{which.name}: {len(out[-1].queries)} views")
    return out


def rendered_foreign(n: int, cache: Path) -> list[HardQuery]:
    """n images of worlds that are not mapped, changed in turn."""
    out: list[HardQuery] = []
    for i, which in enumerate(FOREIGN_WORLDS):
        file = cache / f"foreign-{which.name}.npz"
        if not file.exists():
            np.savez_compressed(file, images=foreign(which))
        with np.load(file) as z:
            images = z["images"]
        mine = n * (i + 1) // len(FOREIGN_WORLDS) - n * i // len(FOREIGN_WORLDS)
        out += changed(images[:mine], None, which.name, which.seed)
    return out
