"""Frames that are read ahead: the same ones in the same order, errors in their place, and nothing read afterwards."""

import threading
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from program import DEMO
from waiting import until

from vgslam import beside
from vgslam.errors import InputError
from vgslam.session.main_loop import MainLoop
from vgslam.session.map_session import MapSession
from vgslam.session.read_ahead import MOST_FRAMES, read_ahead
from vgslam.slam import Slam
from vgslam.sources import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Frame

N = 24


@pytest.fixture
def two_cores() -> Iterator[None]:
    beside.allow(2, there=2)
    yield
    beside.allow(1)


def frame(n: int, side: int = 2) -> Frame:
    return Frame(n, float(n), np.full((side, side, 3), n, np.uint8))


def loop_over_recording() -> MainLoop:
    source = open_source(DEMO / "demo.mp4", SourceOptions(calib=DEMO / "calib.json", max_frames=N))
    assert source.camera is not None
    slam = Slam(source.camera)
    return MainLoop(source, slam, MapSession.in_memory(slam.map))


class Source:
    """Gives frames, and notes who asked for them; `error` comes after the last one."""

    def __init__(self, n: int, error: BaseException | None = None, side: int = 2) -> None:
        self.n, self.error, self.side = n, error, side
        self.read, self.threads, self.is_closed = 0, set(), False

    def __iter__(self) -> Iterator[Frame]:
        try:
            for n in range(self.n):
                self.threads.add(threading.current_thread().name)
                self.read = n + 1
                yield frame(n, self.side)
            if self.error is not None:
                raise self.error
        finally:
            self.threads.add(threading.current_thread().name)
            self.is_closed = True


def test_frames_come_in_their_order_prepared_and_from_one_thread() -> None:
    source, prepared = Source(20), []
    with read_ahead(source, lambda image: prepared.append(int(image[0, 0, 0]))) as frames:
        assert [f.id for f in frames] == list(range(20))
    assert prepared == list(range(20))
    assert source.threads == {"vgslam-reading"}


def test_an_error_comes_after_the_frames_before_it() -> None:
    with read_ahead(Source(5, InputError("broken off")), len) as frames:
        assert [next(frames).id for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(InputError, match="broken off"):
            next(frames)


def test_what_cannot_be_prepared_is_left_to_whoever_uses_it() -> None:
    def fail(image: np.ndarray) -> None:
        raise ValueError("no image")

    with read_ahead(Source(3), fail) as frames:
        assert [f.id for f in frames] == [0, 1, 2]


def test_no_more_is_read_than_may_wait_and_nothing_after_the_end() -> None:
    source = Source(50)
    with read_ahead(source, len) as frames:
        next(frames)
        until(lambda: source.read >= MOST_FRAMES + 2)  # one was taken, and one waits for room
    assert source.is_closed
    assert source.read == MOST_FRAMES + 2
    assert source.threads == {"vgslam-reading"}


def test_of_large_images_fewer_wait() -> None:
    source = Source(50, side=2300)  # 16 MB
    with read_ahead(source, len) as frames:
        next(frames)
        until(lambda: source.read >= 3)
    assert source.read == 3


def test_a_recording_gives_the_same_on_two_cores(two_cores: None) -> None:
    shared = loop_over_recording()
    assert [t.frame.id for t in shared.run()] == list(range(N))
    assert "vgslam-reading" not in {t.name for t in threading.enumerate()}
    beside.allow(1)
    alone = loop_over_recording()
    assert len(list(alone.run())) == N
    for x, y in zip(shared.slam.map.frames, alone.slam.map.frames, strict=True):
        assert x.status is y.status
        np.testing.assert_array_equal(x.T_ref_cam, y.T_ref_cam)
    assert sum(f.T_ref_cam is not None for f in alone.slam.map.frames) > N / 2


def test_a_loop_that_is_left_reads_no_more(two_cores: None) -> None:
    loop = loop_over_recording()
    run = loop.run()
    assert len(list(islice(run, 2))) == 2
    run.close()
    until(lambda: "vgslam-reading" not in {t.name for t in threading.enumerate()})
