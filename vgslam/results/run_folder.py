"""The folder of one run, written as the run goes: what was written stays whatever happens next."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_bytes, write_text
from vgslam.errors import OutputError
from vgslam.results.ply import write_ply
from vgslam.results.report import RunReport
from vgslam.results.saved_depth import remove_depth
from vgslam.results.status import status_csv
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Camera, PoseEstimate, Trajectory

REPORT, CONFIG, CLOUD, STATUS = "report.json", "config.yaml", "cloud.ply", "status.csv"
CAMERA = "camera.json"  # the calibration that the adjustment of the map has found
STATIC_MASK = "static_mask.png"
FAILURES = "failures.log"  # tracebacks of what failed when the frames were through
TRAJECTORY_TUM, TRAJECTORY_KITTI, KEYFRAMES = "trajectory.tum", "trajectory.kitti", "keyframes.tum"
PLOT_FOLDER = "plots"
PLOTS = ("top_view.png", "error.png", "status.png", "depth.png")
RUN_FILES = (
    TRAJECTORY_TUM, TRAJECTORY_KITTI, STATUS, KEYFRAMES, CONFIG, REPORT, CLOUD, CAMERA, STATIC_MASK, FAILURES,
    *(f"{PLOT_FOLDER}/{name}" for name in PLOTS),
)  # fmt: skip

FLUSH_MIN_FRAMES = 50
FLUSH_FRACTION = 0.25
FLUSH_INTERVAL_S = 10.0
FLUSH_MAX_LOAD = 0.01


class RunWriter:
    """Writes `out_dir`; every file appears complete or not at all and keeps its last complete state. Raises OutputError
    when out_dir holds anything already and `overwrite` is not set, or cannot be made. `overwrite` removes the files
    that a run writes (RUN_FILES), never others. Any later OutputError names what is kept. clock: seconds, by which
    `is_flush_due` judges."""

    def __init__(
        self, out_dir: Path | str, overwrite: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = Path(out_dir)
        self._clock = clock
        self._frames_at_flush = 0
        self._flushed_at_s = clock()
        self._flush_took_s = 0.0
        self._config: str | None = None
        self._prepare(overwrite)

    def _prepare(self, overwrite: bool) -> None:
        try:
            if str(self.path) == "-":
                raise OutputError("- is no folder, and results are one: name it with --out")
            self._is_new = not self.path.exists()
            if not self._is_new and not self.path.is_dir():
                raise OutputError(f"{self.path} is a file; give a folder with --out")
            if self.path.is_dir() and not self._is_unused():
                if not overwrite:
                    raise OutputError(f"{self.path} is not empty; add --overwrite or give another folder with --out")
                self._remove_run_files()
            if (self.path / PLOT_FOLDER).is_symlink():
                raise OutputError(f"{self.path / PLOT_FOLDER} is a symbolic link, which leads the plots elsewhere; "
                                  "remove it, or give another folder with --out")  # fmt: skip
            (self.path / PLOT_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made ({error.strerror or error}); take another --out") from error

    def _is_unused(self, *beside: Path) -> bool:
        """Whether the folder holds nothing, or nothing but an empty one for plots and files `beside`."""
        plots = self.path / PLOT_FOLDER
        left = [p for p in self.path.iterdir() if p not in beside]
        return all(p == plots and p.is_dir() and not any(p.iterdir()) for p in left)

    def remove_if_unused(self) -> None:
        """Remove the folder if the run has made it and has written nothing but its settings."""
        config = self.path / CONFIG
        if self._is_new and self.path.is_dir() and self._is_unused(config):
            with suppress(OSError):  # it may be in use elsewhere
                config.unlink(missing_ok=True)
                (self.path / PLOT_FOLDER).rmdir()
                self.path.rmdir()

    def _remove_run_files(self) -> None:
        remove_depth(self.path)
        for name in RUN_FILES:
            file = self.path / name
            if file.is_file() or file.is_symlink():
                file.unlink()
            if file.parent.is_dir():  # what a killed run was just writing
                for left in file.parent.glob(f".{file.name}.*"):
                    left.unlink()

    def is_flush_due(self, n_frames: int) -> bool:
        """Whether to flush after n_frames frames. Every max(50, a quarter of n_frames) frames, so that all flushes
        together cost a constant times the last one; or after 10 s, while flushing takes at most 1 % of the time."""
        if n_frames - self._frames_at_flush >= max(FLUSH_MIN_FRAMES, FLUSH_FRACTION * n_frames):
            return True
        elapsed = self._clock() - self._flushed_at_s
        is_new = n_frames > self._frames_at_flush
        return is_new and elapsed >= FLUSH_INTERVAL_S and self._flush_took_s <= FLUSH_MAX_LOAD * elapsed

    def write_config(self, yaml_text: str) -> None:
        """config.yaml: the resolved configuration."""
        self._config = yaml_text
        self._guard(lambda: write_text(self.path / CONFIG, yaml_text))

    def flush(
        self, trajectory: Trajectory, keyframes: Trajectory, statuses: Sequence[PoseEstimate],
        report: RunReport | None = None,
    ) -> None:  # fmt: skip
        """Rewrites the trajectories in their newest state, the status of every frame so far, and the report.
        trajectory: one pose for each frame that has one; keyframes: the keyframes' poses, whose frame_ids mark them in
        status.csv. Every file is tried; raises OutputError for those that cannot be written: they keep their old state.
        A folder that was removed is made again."""
        started = self._clock()

        self._make_again()
        path, config = self.path, self._config
        files: list[Callable[[], object]] = [
            lambda: write_trajectory(path / TRAJECTORY_TUM, trajectory, "tum"),
            lambda: write_trajectory(path / TRAJECTORY_KITTI, trajectory, "kitti"),
            lambda: write_trajectory(path / KEYFRAMES, keyframes, "tum"),
            lambda: write_text(path / STATUS, status_csv(statuses, trajectory, keyframes)),
        ]
        if report is not None:
            files.append(lambda: write_text(path / REPORT, report.to_json()))
        if config is not None and not (path / CONFIG).exists():
            files.append(lambda: write_text(path / CONFIG, config))
        try:
            self._guard(lambda: _each(files))
        finally:
            self._flushed(len(statuses), started)

    def _make_again(self) -> None:
        """The folder, where somebody has removed it meanwhile."""
        with suppress(OSError):  # whatever is written next says so
            (self.path / PLOT_FOLDER).mkdir(parents=True, exist_ok=True)

    def _flushed(self, n_frames: int, started: float) -> None:
        self._frames_at_flush = n_frames
        self._flushed_at_s = self._clock()
        self._flush_took_s = self._flushed_at_s - started

    def write_plot(self, name: str, png: bytes) -> None:
        """One of PLOTS into plots/. Raises ValueError for another name, OutputError when it cannot be written."""
        if name not in PLOTS:
            raise ValueError(f"plot {name} is unknown, expected one of {', '.join(PLOTS)}")
        self._guard(lambda: write_bytes(self.path / PLOT_FOLDER / name, png))

    def write_static_mask(self, png: bytes) -> None:
        """static_mask.png: black where the image never moves."""
        self._guard(lambda: write_bytes(self.path / STATIC_MASK, png))

    def write_camera(self, camera: Camera) -> None:
        """camera.json: the camera of the images as they were recorded."""
        self._guard(lambda: write_text(self.path / CAMERA, camera_json(camera)))

    def write_cloud(self, points: npt.NDArray[np.floating], colors: npt.NDArray[np.uint8]) -> int:
        """cloud.ply of points (N,3) with colors (N,3) uint8; returns the number of (finite) points written."""
        written = 0

        def write() -> None:
            nonlocal written
            written = write_ply(self.path / CLOUD, points, colors)

        self._guard(write)
        return written

    def write_report(self, report: RunReport) -> None:
        """report.json; write one at the start too, so that a killed run is seen not to be complete."""
        self._guard(lambda: write_text(self.path / REPORT, report.to_json()))

    def kept(self) -> list[str]:
        """The run's files that are there, each complete."""
        return [name for name in RUN_FILES if (self.path / name).is_file()]

    def _guard(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OutputError as error:
            kept = ", ".join(self.kept()) or "nothing"
            raise OutputError(f"{error}; kept in {self.path} as last written: {kept}") from error


def _each(writes: Sequence[Callable[[], object]]) -> None:
    """All of them, then one OutputError for those that failed."""
    failed = []
    for write in writes:
        try:
            write()
        except OutputError as error:
            failed.append(str(error))
    if failed:
        raise OutputError("; ".join(failed))


def camera_json(camera: Camera) -> str:
    """The camera of images as they are recorded: size and intrinsics in pixels, OpenCV's distortion k1 k2 p1 p2 k3."""
    distortion = [*camera.distortion, 0.0, 0.0, 0.0, 0.0][: max(4, len(camera.distortion))]
    entries = {
        "width": camera.width, "height": camera.height, "fx": camera.fx, "fy": camera.fy, "cx": camera.cx,
        "cy": camera.cy, "distortion": distortion,
    }  # fmt: skip
    return json.dumps(entries, indent=1) + "\n"
