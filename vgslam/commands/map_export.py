"""The formats of `vgslam map export`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vgslam.map.slam_map import SlamMap
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.store.exports.cloud import export_gltf, export_ply
from vgslam.store.exports.colmap import export_colmap
from vgslam.store.exports.component import Component
from vgslam.store.exports.mesh import export_mesh
from vgslam.store.exports.nerfstudio import export_nerfstudio

Format = Literal["tum", "kitti", "ply", "gltf", "mesh", "colmap", "colmap-text", "nerfstudio"]


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to."""

    slam_map: SlamMap
    out: Path
    component_id: int | None = None
    session: int | None = None

    @property
    def component(self) -> Component:
        """The component to export. Raises InputError for one that does not exist."""
        return Component.of(self.slam_map, self.component_id)

    def trajectory(self, kind: str) -> str:
        """Poses of the frames that have one, as a file of that kind."""
        trajectory = self.component.trajectory(self.session)
        write_trajectory(self.out, trajectory, kind)
        return f"{len(trajectory)} poses, of the frames that have one"


EXPORTS: dict[Format, Callable[[ExportRequest], str]] = {
    "tum": lambda r: r.trajectory("tum"),
    "kitti": lambda r: r.trajectory("kitti"),
    "ply": lambda r: export_ply(r.component, r.out),
    "gltf": lambda r: export_gltf(r.component, r.out),
    "mesh": lambda r: export_mesh(r.component, r.out),
    "colmap": lambda r: export_colmap(r.component, r.out),
    "colmap-text": lambda r: export_colmap(r.component, r.out, is_text=True),
    "nerfstudio": lambda r: export_nerfstudio(r.component, r.out),
}
