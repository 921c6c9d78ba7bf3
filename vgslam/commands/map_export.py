"""The formats of `vgslam map export`; what a format needs is imported when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vgslam.map.slam_map import SlamMap
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.store.exports.component import Component

Format = Literal["tum", "kitti", "ply", "gltf", "mesh", "colmap", "colmap-text", "nerfstudio"]


@dataclass(frozen=True)
class ExportRequest:
    """What to export where."""

    slam_map: SlamMap
    out: Path
    component_id: int | None = None
    session: int | None = None

    @property
    def component(self) -> Component:
        """Raises InputError for one that does not exist."""
        return Component.of(self.slam_map, self.component_id)


def _tum(request: ExportRequest) -> str:
    trajectory = request.component.trajectory(request.session)
    write_trajectory(request.out, trajectory, "tum")
    return f"{len(trajectory)} poses"


def _kitti(request: ExportRequest) -> str:
    trajectory = request.component.trajectory(request.session)
    write_trajectory(request.out, trajectory, "kitti")
    return f"{len(trajectory)} poses, of the frames that have one"


def _ply(request: ExportRequest) -> str:
    from vgslam.store.exports.cloud import export_ply

    return export_ply(request.component, request.out)


def _gltf(request: ExportRequest) -> str:
    from vgslam.store.exports.cloud import export_gltf

    return export_gltf(request.component, request.out)


def _mesh(request: ExportRequest) -> str:
    from vgslam.store.exports.mesh import export_mesh

    return export_mesh(request.component, request.out)


def _colmap(request: ExportRequest) -> str:
    from vgslam.store.exports.colmap import export_colmap

    return export_colmap(request.component, request.out)


def _colmap_text(request: ExportRequest) -> str:
    from vgslam.store.exports.colmap import export_colmap

    return export_colmap(request.component, request.out, is_text=True)


def _nerfstudio(request: ExportRequest) -> str:
    from vgslam.store.exports.nerfstudio import export_nerfstudio

    return export_nerfstudio(request.component, request.out)


EXPORTS: dict[Format, Callable[[ExportRequest], str]] = {
    "tum": _tum, "kitti": _kitti, "ply": _ply, "gltf": _gltf, "mesh": _mesh, "colmap": _colmap,
    "colmap-text": _colmap_text, "nerfstudio": _nerfstudio,
}  # fmt: skip
