"""A recording mapped in pieces by a fleet's engine, and made one run again."""

import shutil
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from vgslam.atomic import shortened, write_text
from vgslam.byte_size import parse_size
from vgslam.commands.fleet_options import Orders
from vgslam.commands.run import RunArgs, source_options
from vgslam.commands.terminal import print_outcome
from vgslam.config import to_yaml
from vgslam.errors import InputError, TrackingError, VgslamError
from vgslam.fleet.engine import Workplace, open_engine
from vgslam.fleet.folder import DIGESTS, LOGS, FleetFolder
from vgslam.fleet.identity import Digests
from vgslam.fleet.items import Item
from vgslam.fleet.pieces import (
    OVERLAP,
    MappedPiece,
    cut,
    frames_among,
    give_one_camera,
    join_of,
    numbers_by_time,
    placed,
)
from vgslam.fleet.task import Task, TaskLimits, TaskResult
from vgslam.fleet.whole import Whole, make_whole
from vgslam.fleet.whole_results import InPieces, Piece, WholeResults
from vgslam.fleet.work import MAP
from vgslam.guards.wording import say
from vgslam.map.pictures import Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.metric.fulfil import MetricRequest, read_request
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.results.environment import peak_memory_mib
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter, camera_json
from vgslam.session.choose_camera import describe_camera, main_camera, recorded_camera
from vgslam.session.late_steps import LateSteps
from vgslam.session.open_system import FOV_REL_SIGMA, UNKNOWN_K1_SIGMA
from vgslam.session.outcome import Outcome, Stop, find_world
from vgslam.session.stop_signals import StopSignals
from vgslam.sources.open import open_source
from vgslam.sources.source import RecordedSource
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map
from vgslam.types import Camera

WORK = ".pieces"  # folder within the results in which pieces are mapped; removed when all of them are joined
SCOUTED = 300  # frames from which the camera of an uncalibrated recording is found before the pieces are mapped
ESTIMATE_REL_SIGMA = 0.07  # relative deviation of the focal length that they give: all frames together know better
SOME_FAILED = 1  # exit code where pieces have no map, and the others have


@dataclass
class PiecesRun:
    """One run in pieces."""

    args: RunArgs
    n_pieces: int | None
    at: Workplace  # where they are mapped
    limits: TaskLimits  # of a piece
    began: tuple[float, float]  # CPU and wall-clock seconds
    source: RecordedSource = field(init=False)
    calibration: str = "given"
    _numbers: dict[float, int] = field(default_factory=dict)

    def to_the_end(self) -> Outcome | None:
        """Maps, joins, writes and prints; None if one piece is enough, and nothing was done. Raises VgslamError."""
        args = self.args
        args.check()
        source = open_source(args.path, source_options(args))
        if not isinstance(source, RecordedSource):
            raise InputError(f"{args.path}: --pieces is for recordings, not for {source.kind}")
        self.source = source
        times = source.names_and_times()
        self._numbers = numbers_by_time(times)
        ranges = cut(len(times), self.n_pieces)
        if len(ranges) == 1:
            say(f"{len(times)} frames are one piece: mapped in one go")
            return None
        request = read_request(args.scale_from, args.gravity, source)
        folder = Path("out") / f"{shortened(args.path.resolve().stem)}-{datetime.now():%Y%m%d-%H%M%S}"
        writer = RunWriter(args.out or folder, args.overwrite)
        say(f"{args.path}: {source.kind}, {len(times)} frames in {len(ranges)} pieces, {OVERLAP} frames in common")
        with StopSignals():
            writer.write_config(to_yaml(replace(args, out=writer.path)))
            pieces, refine = self._mapped(writer.path / WORK, ranges)
            outcome = self._joined(writer, pieces, refine, request)
        if not self._is_kept(pieces):
            shutil.rmtree(writer.path / WORK, ignore_errors=True)
        print_outcome(outcome)
        return outcome

    @staticmethod
    def _is_kept(pieces: list[Piece]) -> bool:
        """Whether the work stays, with the logs of what failed, so that the same command does only that again."""
        return any(p.folder is None for p in pieces)

    # -- mapping the pieces

    def _mapped(self, work: Path, ranges: list[range]) -> tuple[list[Piece], RefineConfig]:
        """The pieces, and the settings of the adjustment of the whole."""
        with FleetFolder.driving(work) as folder:
            common, refine = self._calibrated(folder, range(min(ranges[-1].stop, SCOUTED)))
            tasks = [self._task(folder, f"piece-{n + 1:03d}", r, common) for n, r in enumerate(ranges)]
            results = self._done(tasks)
        pieces = [Piece(r, results[t.key]) for r, t in zip(ranges, tasks, strict=True)]
        pieces = [replace(p, folder=work / p.result.results if p.result.is_usable else None) for p in pieces]
        if all(p.folder is None for p in pieces):
            raise TrackingError(
                f"{self.args.path}: none of {len(pieces)} pieces has a map: {pieces[0].result.error} (logs are in "
                f"{work / LOGS})"
            )
        return pieces, refine

    def _calibrated(self, folder: FleetFolder, first: range) -> tuple[RunArgs, RefineConfig]:
        """The options of all pieces, and how free the whole is to adjust the calibration, which, if unknown, is found
        once, in the first frames."""
        args = self.args
        refine = args.slam_config().refine
        if self.source.camera is not None:
            return args, replace(refine, focal_px=self.source.camera.fx)
        if args.fov_deg is not None:
            self.calibration = "field of view"
            return args, replace(refine, focal_rel_sigma=FOV_REL_SIGMA, k1_sigma=UNKNOWN_K1_SIGMA)
        self.calibration = f"estimated from the first {len(first)} frames"
        say("no calibration: it is estimated from the first frames, once for all pieces (--calib or --fov-deg skips "
            "this)")  # fmt: skip
        task = self._task(folder, "calibration", first, args)
        result = self._done([task])[task.key]
        calib = None if not result.is_usable else _camera_of(folder.path / result.results / MAP)
        if calib is None:
            why = result.error or "its first frames have no poses"
            raise TrackingError(f"{args.path}: no camera could be estimated ({why}); give --calib or --fov-deg")
        write_text(folder.path / "calib.json", camera_json(calib))
        estimated = replace(
            refine, focal_rel_sigma=ESTIMATE_REL_SIGMA, k1_sigma=UNKNOWN_K1_SIGMA, is_focal_estimated=True
        )
        fixed = replace(args, calib=folder.path / "calib.json")
        self.source = open_source(args.path, source_options(fixed))  # type: ignore[assignment]
        return fixed, estimated

    def _task(self, folder: FleetFolder, name: str, frames: range, common: RunArgs) -> Task:
        options = replace(
            common, start=common.start + frames.start * common.stride, max_frames=len(frames), scale_from=None,
            gravity=None, map=None, viewer=None, quiet=True, json=False, save_depth=None,
        )  # fmt: skip
        orders = Orders(folder, options, self.limits, Digests(folder.path / DIGESTS))
        task = orders.task(Item(str(self.args.path.resolve()), name))
        orders.digests.save()
        return task

    def _done(self, tasks: list[Task]) -> dict[str, TaskResult]:
        """The results by key, each told as it comes."""
        engine = open_engine(self.at, self.limits)
        by_key, results = {t.key: t for t in tasks}, {}
        with closing(engine.run(list(by_key.values()))) as run:
            for result in run:
                results[result.key] = result
                f = result.facts
                said = f"{f.n_poses} of {f.n_frames} frames" if result.is_usable else f"no map: {result.error}"
                say(f"{by_key[result.key].name}: {said}, {result.wall_s:.1f} s")
        return results

    # -- making them one

    def _joined(
        self, writer: RunWriter, pieces: list[Piece], refine: RefineConfig, request: MetricRequest
    ) -> Outcome:  # fmt: skip
        mapped, ranges, times = self._numbered(pieces)
        give_one_camera([x.slam_map for x in mapped], self.source.camera)
        joins = [join_of(a, b, ranges) for a, b in pairwise(mapped) if b.piece == a.piece + 1]
        m = SlamMap(Pictures(parse_size(self.args.memory)))
        began = datetime.now().astimezone().isoformat(timespec="seconds")
        m.begin_session(self.source.name, began, self.source.recorded_camera)
        parts = placed(mapped, joins, ranges)
        whole = make_whole(parts, times, m, self.args.slam_config(), refine, Watch(say))
        report = RunReport(
            command=["vgslam", *sys.argv[1:]], source_kind=self.source.kind, source_name=self.source.name,
            n_source_frames=self.source.n_frames, warnings=list(self.source.warnings),
            mask=None if self.args.mask is None else str(self.args.mask),
        )  # fmt: skip
        if m.keyframes:
            report.camera = describe_camera(self.source.camera or m.keyframes[-1].camera.of_frames, None)
            report.camera["is_estimated"] = self.calibration.startswith("estimated")
        results = WholeResults(writer, report, LateSteps(writer.path), say, self.args.save_depth)
        about = InPieces(pieces, joins, self.at.engine, self.calibration)
        return self._written(results, whole, about, request)

    def _numbered(self, pieces: list[Piece]) -> tuple[list[MappedPiece], list[range], np.ndarray]:
        """The maps and the ranges of the pieces by numbers of frames, and the times of the frames (N,)."""
        mapped: list[MappedPiece] = []
        for n, p in enumerate(pieces):
            if p.folder is None:
                continue
            m = load_map(p.folder / MAP)
            stamps = m.frames.column("timestamp_s").tolist()
            try:
                mapped.append(MappedPiece(n, m, np.array([self._numbers[t] for t in stamps], np.int64)))
            except KeyError as error:
                raise InputError(f"{self.args.path}: the time {error} of a frame changes with --start") from error
        without_map = [p.frames for p in pieces if p.folder is None]
        timed = np.array(list(self._numbers.values()), np.int64)
        frames = frames_among([x.frames for x in mapped], without_map, timed)
        time_of = {n: t for t, n in self._numbers.items()}
        ranges = [range(*np.searchsorted(frames, [p.frames.start, p.frames.stop]).tolist()) for p in pieces]
        mapped = [replace(x, frames=np.searchsorted(frames, x.frames).astype(np.int64)) for x in mapped]
        return mapped, ranges, np.array([time_of[n] for n in frames.tolist()])

    def _written(self, results: WholeResults, whole: Whole, about: InPieces, request: MetricRequest) -> Outcome:
        args, m, report, steps = self.args, whole.slam_map, results.report, results.steps
        results.fill(whole, about)
        find_world(m, request, report)
        steps.extra("the camera", partial(self._write_camera, results.writer, whole))
        evaluation = results.write(m, self.source.truth, self.source.name)
        if args.map is not None:
            with steps.keeping("saving the map"), MapFolder(args.map) as folder:
                folder.save(m)
            report.map = {"path": str(args.map), "is_localizing": False, "session": 0, "n_keyframes_before": 0,
                          "n_keyframes": len(m.keyframes)}  # fmt: skip
        failed = [line for line in about.lines() if "has no map" in line]
        stop = steps.stop(Stop("; ".join(failed), SOME_FAILED) if failed else None)
        cpu_s = time.process_time() - self.began[0] + sum(r.cpu_s for p in about.pieces if (r := p.report) is not None)
        report.set_timing(cpu_s, time.monotonic() - self.began[1])
        report.peak_memory_mib = max(peak_memory_mib(), *(p.result.peak_mib for p in about.pieces))
        report.finish(None if stop is None else stop.reason)
        with steps.keeping("writing the report"):
            results.writer.write_report(report)
        if stop is None and not report.n_poses:
            raise TrackingError(f"{args.path}: none of {report.n_frames} frames could be tracked")
        failure = InputError.exit_code if report.world_failure else 0
        return Outcome(report, results.writer.path, evaluation, stop, failure if stop is None else stop.exit_code)

    def _write_camera(self, writer: RunWriter, whole: Whole) -> None:
        """Write the camera of the source's images, if the whole has determined it better than it was given."""
        camera = main_camera(whole.slam_map)
        found = None if camera is None else recorded_camera(camera, self.source, whole.refined, None)
        if found is not None:
            writer.write_camera(found)


def _camera_of(path: Path) -> Camera | None:
    """The adjusted camera of a map, with the distortion of its images; None for a map without keyframes."""
    try:
        m = load_map(path)
    except VgslamError:
        return None
    if not m.keyframes:
        return None
    c = m.keyframes[-1].camera.of_frames
    return replace(c, distortion=(c.removed_k1, 0.0, 0.0, 0.0), removed_k1=0.0)
