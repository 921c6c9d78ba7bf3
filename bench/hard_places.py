"""Mapped places with what is asked of them: images whose pose in the map is known, and images of other places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.hard_images import CHANGES
from bench.hard_worlds import FOREIGN_WORLDS, WORLDS, Asked, HardWorld, foreign, map_walk, views, walk
from vgslam.evaluation.alignment import align, mean_rotation
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
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
    camera: Camera | None = None
    """The camera of the image; None for that of the map."""


@dataclass(frozen=True)
class Gauge:
    """What brings poses of the map to the truth."""

    S_truth_map: Sim3
    """From the positions of the map's frames."""
    R_truth_map: Array
    """(3,3), from their orientations: a short path hardly determines it by its positions."""
    depth: float
    """Median depth of the map's landmarks in units of the truth: the size of what is seen."""

    def error(self, T_map_cam: Array, T_truth_cam: Array) -> tuple[float, float]:
        """Distance of a pose from the true one, as a share of the depth, and angle in degrees."""
        apart = np.linalg.norm(self.S_truth_map.apply(T_map_cam[:3, 3]) - T_truth_cam[:3, 3])
        angle = se3.angle_deg((self.R_truth_map @ T_map_cam[:3, :3]).T @ T_truth_cam[:3, :3])
        return float(apart) / self.depth, angle


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
    S = align(true, found.T_world_cam, with_scale=True).S_ref_est
    z = slam_map.landmarks.xyz_host[slam_map.landmarks.is_triangulated][:, 2]
    return Gauge(S, mean_rotation(true[:, :3, :3], found.T_world_cam[:, :3, :3]), S.s * float(np.median(z)))


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
    queries = [HardQuery(a.kind, a.image, a.T_world_cam, which.name) for a in asked]
    return Place(which.name, folder, gauge(load_map(folder), truth), queries)


def rendered_places(per_kind: int, cache: Path, show: Callable[[str], None]) -> list[Place]:
    """All worlds, with up to `per_kind` views of each kind in each."""
    out = []
    for which in WORLDS:
        kinds = ("poor",) if which.is_poor else ("view 15-30", "view 30-45", "view 45-60")
        wanted = {kind: round(1.5 * per_kind) if which.is_poor else per_kind for kind in kinds}
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
