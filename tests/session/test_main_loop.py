"""The one main loop: the same frames give the same poses, whoever asks; Ctrl-C waits for a frame and its followers."""

import signal
from dataclasses import replace
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import ConfigError, InputError
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.while_running import CalibrationWhileRunning
from vgslam.session.main_loop import MainLoop, Tracked
from vgslam.session.map_session import MapSession
from vgslam.session.stop_signals import StopSignals
from vgslam.slam import Slam
from vgslam.slam_config import SlamConfig
from vgslam.sources import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.source import RecordedSource
from vgslam.types import Camera

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"
CALIB = DEMO / "calib.json"
N = 24


def recorded() -> RecordedSource:
    return open_source(DEMO / "demo.mp4", SourceOptions(calib=CALIB, max_frames=N))


def loop_over(source: RecordedSource, signals: StopSignals | None = None) -> MainLoop:
    assert source.camera is not None
    slam = Slam(source.camera)
    return MainLoop(source, slam, MapSession.in_memory(slam.map), signals)


def test_a_stream_and_frames_of_ones_own_give_the_same_poses() -> None:
    source = recorded()
    assert source.camera is not None
    config = SlamConfig(refine=RefineConfig(is_on=False, while_running=False))
    by_hand = Slam(source.camera, config)
    for frame in source:
        by_hand.process(frame)
    by_hand.finish()
    with Slam.open(DEMO / "demo.mp4", calib=CALIB, config=config) as stream:
        poses = list(islice(stream, N))
    assert [p.frame_id for p in poses] == list(range(N))
    ours = [f.T_ref_cam for f in by_hand.map.frames]
    theirs = [f.T_ref_cam for f in stream.slam.map.frames]
    assert sum(T is not None for T in ours) > N / 2
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_followers_hear_of_each_frame_in_their_order() -> None:
    loop, heard = loop_over(recorded()), []
    followers = (lambda t: heard.append(("a", t.frame.id)), lambda t: heard.append(("b", t.frame.id)))
    tracked = list(islice(loop.run(*followers), 3))
    assert heard == [(who, i) for i in range(3) for who in "ab"]
    assert [t.estimate.frame_id for t in tracked] == [0, 1, 2]
    assert all(t.took_s > 0 for t in tracked)


def test_frames_of_a_later_run_are_numbered_on() -> None:
    source = recorded()
    first = loop_over(source)
    assert len(list(first.run())) == N
    assert source.camera is not None
    slam = Slam(source.camera, slam_map=first.slam.map)
    again = MainLoop(source, slam, MapSession.in_memory(slam.map))
    (tracked,) = islice(again.run(), 1)
    assert (tracked.frame.id, tracked.estimate.frame_id) == (0, N)


def test_the_adjustment_while_running_knows_how_long_the_recording_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(CalibrationWhileRunning, "expect", lambda _, first_id, n: told.append((first_id, n)))
    source = recorded()
    first = loop_over(source)
    assert len(list(first.run())) == N
    assert source.camera is not None
    later = Slam(source.camera, slam_map=first.slam.map)
    MainLoop(source, later, MapSession.in_memory(later.map))
    assert told == [(0, N), (N, N)]


def test_a_frame_and_its_followers_are_done_whole() -> None:
    done: list[int] = []
    with StopSignals() as signals:
        loop = loop_over(recorded(), signals)

        def interrupt(tracked: Tracked) -> None:
            if tracked.frame.id == 2:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            list(loop.run(interrupt, lambda t: done.append(t.frame.id)))
    assert done == [0, 1, 2]
    assert loop.map_session.is_whole
    assert len(loop.slam.map.frames) == 3


def test_a_frame_of_another_size_is_refused() -> None:
    camera = Camera.from_fov(320, 200, 60.0)
    with pytest.raises(InputError, match="the camera 320x200"):
        next(iter(Slam.open(DEMO / "demo.mp4", camera=camera)))


def test_a_network_can_be_asked_and_what_it_is_worth_is_noted() -> None:
    with Slam.open(DEMO / "demo.mp4", calib=CALIB, network="vggt", weights="random", device="cpu") as stream:
        poses = list(islice(stream, 3))
    assert len(poses) == 3
    assert stream.slam.guide is not None
    assert any("RANDOM" in note for note in stream.slam.notes)
    assert Slam.open(DEMO / "demo.mp4", calib=CALIB).slam.guide is None


def test_a_network_that_there_is_none_of_is_named() -> None:
    with pytest.raises(ConfigError, match="magic"):
        Slam.open(DEMO / "demo.mp4", calib=CALIB, network="magic")


def test_a_map_of_another_camera_is_not_gone_on_with() -> None:
    loop = loop_over(recorded())
    list(loop.run())
    assert loop.slam.map.keyframes
    other = replace(loop.slam.tracker.camera, fx=2 * loop.slam.tracker.camera.fx)
    with pytest.raises(ConfigError, match="another map"):
        Slam.open(DEMO / "demo.mp4", camera=other, slam_map=loop.slam.map)
