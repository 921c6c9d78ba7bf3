"""Tracks a source to its end and brings everything to disk, whatever ends it: what `run` and `live` have in common."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from vgslam import beside
from vgslam.atomic import shortened
from vgslam.config import to_yaml
from vgslam.errors import EvaluationError, InputError, OutputError, TrackingError
from vgslam.evaluation.evaluate import Evaluation, require_evo
from vgslam.interfaces import FrameSource, PoseSink
from vgslam.metric.fulfil import read_request
from vgslam.poses_out.open import opened_sinks
from vgslam.results.plots import load_libraries
from vgslam.results.report import UNFINISHED, RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.session.adaptation import open_adaptation
from vgslam.session.choose_camera import describe_camera, trouble_with_size
from vgslam.session.extras import Extras
from vgslam.session.late_steps import LateSteps
from vgslam.session.main_loop import Follower, MainLoop
from vgslam.session.map_session import MapSession
from vgslam.session.network import open_network
from vgslam.session.open_system import SystemOptions, does_not_wait, open_system
from vgslam.session.outcome import Outcome, Poses, Stop
from vgslam.session.run import Run
from vgslam.session.second_process import SecondProcess
from vgslam.session.self_calibration import EstimateWatch
from vgslam.session.stop_signals import StopSignals, exit_code
from vgslam.session.tracking_args import TrackingArgs
from vgslam.session.viewing import shown
from vgslam.sources.live import LiveSource
from vgslam.sources.live_address import public


class Audience(Protocol):
    """Receives all messages of a run; nothing else in this package prints anything."""

    def say(self, line: str) -> None:
        """A line about the run."""
        ...

    def estimating(self) -> AbstractContextManager[EstimateWatch | None]:
        """What is told how far the estimate of a camera is that nothing calibrates, before the main loop."""
        ...

    def watching(self, run: Run) -> AbstractContextManager[Follower]:
        """The follower that is called with each frame while the main loop runs."""
        ...

    def end(self, outcome: Outcome) -> None:
        """Everything is written."""
        ...


def track(
    args: TrackingArgs, open_frames: Callable[[], FrameSource], title: str, stem: str, audience: Audience
) -> Outcome:  # fmt: skip
    """Runs and writes. It ends with an `Outcome` after Ctrl-C, SIGTERM and a source that breaks off too. Raises a
    VgslamError for everything else that stops it, and KeyboardInterrupt for a second Ctrl-C. title: the input as it was
    given; stem: what the default folder of the results is called after."""
    with StopSignals() as signals:
        began = time.process_time(), time.monotonic()
        args.check()
        network = open_network(args.network_options(), audience.say, args.vggt)
        source = open_frames()
        try:
            with ExitStack() as stack:
                sinks = stack.enter_context(opened_sinks(args.poses))
                session = stack.enter_context(MapSession.open(args.map, args.localize, args.memory))
                folder = Path("out") / f"{shortened(stem)}-{datetime.now():%Y%m%d-%H%M%S}"
                writer = RunWriter(args.out or folder, args.overwrite)
                stack.callback(writer.remove_if_unused)
                _announce(title, source, sinks, audience)
                options = SystemOptions(args.slam_config(), None, args.fov_deg, args.mask)
                with audience.estimating() as tell:
                    slam, estimated = open_system(source, session, network, options, audience.say, tell)
                writer.write_config(to_yaml(replace(args.settings(), out=writer.path)))
                if network is not None:
                    stack.callback(network.desk.close)
                adaptation = stack.enter_context(open_adaptation(network, args.adapt, args.adapter, args.adaptation))
                request = read_request(args.scale_from, args.gravity, source)
                report = RunReport(
                    command=["vgslam", *map(public, sys.argv[1:])], source_kind=source.kind, source_name=source.name,
                    n_source_frames=source.n_frames,
                    camera=describe_camera(slam.tracker.camera.of_frames, estimated),
                    mask=None if args.mask is None else str(args.mask),
                )  # fmt: skip
                loop = MainLoop(source, slam, session, signals)
                steps, is_live = LateSteps(writer.path), does_not_wait(source)
                with shown(args.viewer, source.name, args.overwrite, slam.map, audience.say, steps, is_live) as viewer:
                    run = Run(
                        args, title, loop, writer, report, viewer, sinks, adaptation, *began, steps, request=request,
                        network=network, estimated=estimated, second=stack.enter_context(SecondProcess()),
                    )  # fmt: skip
                    stop = _loop(run, audience)
                return _finish(run, stop, audience)
        finally:
            if isinstance(source, LiveSource):
                source.close()


def _announce(title: str, source: FrameSource, sinks: list[PoseSink], audience: Audience) -> None:
    n = "unknown number of" if source.n_frames is None else source.n_frames
    is_live = isinstance(source, LiveSource)
    audience.say(f"{title}: {source.kind}, live" if is_live else f"{title}: {source.kind}, {n} frames")
    for sink in sinks:
        if sink.where:
            audience.say(sink.where)


def _loop(run: Run, audience: Audience) -> Stop | None:
    """Process all frames and finish what they have begun; returns what stopped it, None when the input was processed to
    its end."""
    run.report.finish(UNFINISHED)
    stop = None
    try:
        _process_all(run, audience)
    except (KeyboardInterrupt, InputError) as error:
        if not run.n_frames:
            raise
        if not run.loop.map_session.is_whole:
            _keep(run, error)
            raise
        stop = _stop(run, error)
    except BaseException as error:
        _keep(run, error)
        raise
    return _finish_map(run, audience) or stop


def _process_all(run: Run, audience: Audience) -> None:
    """Runs frame by frame. Ctrl-C is the usual end of a live source, and nothing to report."""
    with audience.watching(run) as watch:
        try:
            for _ in run.loop.run(run.hand_out, run.show, watch, run.learn, run.save_when_due):
                pass
        except KeyboardInterrupt:
            if run.loop.live is None or not run.n_frames or not run.loop.map_session.is_whole:
                raise
            run.loop.close()


def _stop(run: Run, error: KeyboardInterrupt | InputError) -> Stop:
    if isinstance(error, InputError):
        return Stop(str(error), error.exit_code)
    return Stop(run.loop.signals.describe(), exit_code(error))


def _finish_map(run: Run, audience: Audience) -> Stop | None:
    """Finish the map, after a run that was stopped too; a second Ctrl-C ends this at once. Returns what stopped
    it. Whatever happens, the folder of the run holds its state of before; raises OutputError if it fails."""
    try:
        run.rest()
        with run.loop.map_session.changing():
            run.slam.settle()
        with run.steps.tried("saving before the map is finished"):
            run.save()
        if beside.is_allowed():
            is_scored = run.loop.source.truth is not None
            run.second.start([load_libraries, *([require_evo] if is_scored else [])])
        run.loop.finish(audience.say)
        run.find_world()
    except KeyboardInterrupt as error:
        if run.loop.map_session.is_whole:
            return _stop(run, error)
        _report_end(run, _reason(error))
        raise
    except Exception as error:
        run.steps.failed("finishing the map", error)
        [*_, line] = run.steps.lines
        _report_end(run, line)
        where = f"the poses as they were tracked are in {run.writer.path}, the map is as it was last saved"
        raise OutputError(f"{run.title}: {line}; {where}") from error
    return None


def _keep(run: Run, error: BaseException) -> None:
    """Saves what there is after a fatal error: the poses up to there and, if it is whole, the map."""
    run.report.finish(_reason(error))
    with run.steps.keeping("ending what is saved beside"):
        run.rest()
    with run.steps.keeping("saving the poses"):
        run.save()
    with run.steps.keeping("saving the map"):
        run.loop.map_session.save()


def _report_end(run: Run, reason: str) -> None:
    run.report.finish(reason)
    with suppress(OutputError):
        run.writer.write_report(run.report)


def _reason(error: BaseException) -> str:
    return "interrupted twice" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def _finish(run: Run, stop: Stop | None, audience: Audience) -> Outcome:
    """Write everything, score, draw plots, and report. What fails stops the run, after all the rest."""
    try:
        poses, evaluation = _finish_results(run, stop, audience)
        stop = _finish_report(run, stop or _ended_too_early(run, poses))
    except KeyboardInterrupt as error:  # between two steps
        _report_end(run, _reason(error))
        raise
    is_unscored = run.args.truth is not None and evaluation is None and len(poses.trajectory) > 0
    failure = InputError.exit_code if run.report.world_failure else EvaluationError.exit_code if is_unscored else 0
    code = stop.exit_code if stop is not None else failure
    outcome = Outcome(run.report, run.writer.path, evaluation, stop, code)
    audience.end(outcome)
    if stop is None and not len(poses.trajectory):
        camera = run.slam.tracker.camera.of_frames
        why = trouble_with_size(camera.width, camera.height) or "it needs texture and a camera that moves sideways"
        why = why if len(poses.frames) > 1 else "one frame is no sequence"
        raise TrackingError(
            f"{run.title}: none of {len(poses.frames)} frames could be tracked; {why} (statuses are in "
            f"{run.writer.path})"
        )
    return outcome


def _ended_too_early(run: Run, poses: Poses) -> Stop | None:
    """What stopped a live run that was ended by hand before any frame had a pose: no usual end, as there is nothing."""
    first = run.loop.signals.first
    if first is None or len(poses.trajectory):
        return None
    return Stop(f"{run.loop.signals.describe()} before any of {len(poses.frames)} frame(s) had a pose", 128 + first)


def _finish_results(run: Run, stop: Stop | None, audience: Audience) -> tuple[Poses, Evaluation | None]:
    """Everything but the last report."""
    run.report.finish(UNFINISHED if stop is None else stop.reason)
    session, steps, signals = run.loop.map_session, run.steps, run.loop.signals
    map_folder = [session.folder.path] if session.folder is not None else []
    with steps.keeping("ending the adaptation", signals):
        run.adaptation.finish([run.writer.path, *map_folder])
    size = run.slam.tracker.camera.of_frames
    if len(run.trajectory()) and (trouble := trouble_with_size(size.width, size.height)):
        run.slam.notes.append(trouble)
    with steps.keeping("writing the poses", signals):
        run.save()
    poses = Poses(run.frames(), run.trajectory(), run.keyframes())
    if not poses.frames:
        raise InputError(f"{run.title}: no frame could be read")
    with steps.keeping("saving the map", signals):
        if session.folder is not None:
            run.slam.relocalizer.places.catch_up()  # on a way straight on nobody has asked for them
        session.save()
    while run.sinks:
        with steps.keeping("closing the poses' outlet"):
            run.sinks.pop().close()
    return poses, _extras(run, poses, audience) if len(poses.trajectory) else None


def _finish_report(run: Run, stop: Stop | None) -> Stop | None:
    """The last word; returns what stopped the run, which may be that it cannot be written."""
    before = run.steps.stop(stop)
    if before is None:  # a signal that stopped nothing is the usual end of a live source
        run.report.finish(run.loop.signals.name, is_usual_end=True)
    else:
        run.report.finish(before.reason)
    with run.steps.keeping("writing the report", run.loop.signals):
        run.writer.write_report(run.report)
    after = run.steps.stop(stop)
    if after is not None and after != before:
        _report_end(run, after.reason)
    return after


def _extras(run: Run, poses: Poses, audience: Audience) -> Evaluation | None:
    run.steps.extra("the camera", run.write_camera)
    extras = Extras(run.writer, run.report, run.steps, audience.say, run.args.save_depth, run.second)
    source = run.loop.source
    return extras.write(run.slam.map, poses, source.truth, source.name, run.loop.map_session.first_frame_id)
