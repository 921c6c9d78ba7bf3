"""The formats of `vgslam map export`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vgslam.errors import ConfigError, OutputError
from vgslam.map.slam_map import SlamMap
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.store.exports.cloud import export_gltf, export_ply
from vgslam.store.exports.colmap import export_colmap
from vgslam.store.exports.component import Component
from vgslam.store.exports.depth import export_depth
from vgslam.store.exports.mesh import export_mesh
from vgslam.store.exports.nerfstudio import export_nerfstudio
from vgslam.store.exports.place import remove_export
from vgslam.store.exports.suffixes import FOLDERS

ExportFormat = Literal[
    "tum", "kitti", "ply", "gltf", "mesh", "colmap", "colmap-text", "nerfstudio", "depth-png", "depth-npz", "depth-exr"
]


TRAJECTORIES = ("tum", "kitti")


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to."""

    slam_map: SlamMap
    out: Path
    component_id: int | None = None
    session: int | None = None
    max_faces: int | None = None

    @property
    def component(self) -> Component:
        """The component to export. Raises InputError for one that does not exist."""
        return Component.of(self.slam_map, self.component_id)

    def trajectory(self, kind: str) -> str:
        """Poses of the frames that have one, as a file of that kind."""
        trajectory = self.component.trajectory(self.session)
        write_trajectory(self.out, trajectory, kind)
        return f"{len(trajectory)} poses, of the frames that have one"


EXPORTS: dict[ExportFormat, Callable[[ExportRequest], str]] = {
    "tum": lambda r: r.trajectory("tum"),
    "kitti": lambda r: r.trajectory("kitti"),
    "ply": lambda r: export_ply(r.component, r.out),
    "gltf": lambda r: export_gltf(r.component, r.out),
    "mesh": lambda r: export_mesh(r.component, r.out, max_faces=r.max_faces),
    "colmap": lambda r: export_colmap(r.component, r.out),
    "colmap-text": lambda r: export_colmap(r.component, r.out, is_text=True),
    "nerfstudio": lambda r: export_nerfstudio(r.component, r.out),
    "depth-png": lambda r: export_depth(r.component, r.out, "png"),
    "depth-npz": lambda r: export_depth(r.component, r.out, "npz"),
    "depth-exr": lambda r: export_depth(r.component, r.out, "exr"),
}


def export(name: ExportFormat, request: ExportRequest) -> str:
    """Writes an export over an earlier one, to a place that has been checked; returns what was written, in words.
    Raises ConfigError for an option that the format does not have, InputError, MissingDependencyError, OutputError."""
    if request.max_faces is not None and name != "mesh":
        raise ConfigError(f"--max-faces is for --format mesh; {name} has no faces")
    if request.session is not None and name not in TRAJECTORIES:
        raise ConfigError(f"--session is for --format tum and kitti; {name} holds the keyframes of all sessions")
    was_there = request.out.exists()
    try:
        if was_there and name in FOLDERS and request.component.keyframes:
            remove_export(request.out)
        return EXPORTS[name](request)
    except OSError as error:
        raise OutputError(_unfinished(request.out, f"{request.out}: cannot be written ({error.strerror or error})",
                                      was_there)) from error  # fmt: skip
    except OutputError as error:
        raise OutputError(_unfinished(request.out, str(error), was_there)) from error


def _unfinished(out: Path, line: str, was_there: bool) -> str:
    """The line, and what became of a folder that was being written."""
    if not out.is_dir():
        return line
    return f"{line}; {out} is not complete" + ("" if was_there else ", remove it")
