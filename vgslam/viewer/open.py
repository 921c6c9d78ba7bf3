"""`--viewer`: where a run is shown."""

from pathlib import Path

from vgslam.errors import ConfigError, MissingDependencyError, OutputError
from vgslam.interfaces import ViewedMap, Viewer
from vgslam.types import Frame, PoseEstimate

SPAWN, WEB = "spawn", "web"


def open_viewer(target: str | None, title: str, overwrite: bool = False) -> Viewer:
    """The viewer for `spawn` (a window), `web` (a server for a browser) or an .rrd file; None shows nothing. Raises
    ConfigError for another word, OutputError for a file that exists already (unless `overwrite`) or cannot be made,
    MissingDependencyError without rerun."""
    if target is None:
        return NullViewer()
    if target not in (SPAWN, WEB) and not target.endswith(".rrd"):
        raise ConfigError(f"--viewer {target}: expected spawn, web, or the name of a file that ends in .rrd")
    try:
        from vgslam.viewer.rerun_viewer import RerunViewer
    except ImportError as error:
        raise MissingDependencyError("--viewer needs rerun: pip install 'vgslam[viewer]' (or rerun-sdk)") from error
    if target == SPAWN:
        return RerunViewer.spawn(title)
    if target == WEB:
        return RerunViewer.serve(title)
    return RerunViewer.record(title, _new_file(Path(target), overwrite))


def _new_file(path: Path, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; add --overwrite or give another name with --viewer")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another --viewer") from error
    return path


class NullViewer:
    """Shows nothing and takes no time."""

    where = ""

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None:
        """Does nothing."""

    def close(self, slam_map: ViewedMap) -> None:
        """Does nothing."""
