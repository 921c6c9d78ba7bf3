"""The queue of a live source: short stalls lose nothing, long ones end with the newest frame, and all is counted."""

import threading

from waiting import HANG_S

from vgslam.sources.live_queue import LONGEST_WAIT_S, MOST_WAITING, Drop, FrameQueue


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def queue(keep_all: bool = False) -> tuple[FrameQueue[int], Clock]:
    clock = Clock()
    return FrameQueue(keep_all, clock), clock


def taken(frames: FrameQueue[int]) -> int | None:
    waiting = frames.take()
    return None if waiting is None else waiting.item


def test_a_short_stall_loses_nothing_and_keeps_the_order() -> None:
    frames, clock = queue()
    for i in range(MOST_WAITING):
        frames.put(i, clock.now_s)
        clock.now_s += LONGEST_WAIT_S / (MOST_WAITING + 1)
    frames.end()
    assert [taken(frames) for _ in range(MOST_WAITING + 1)] == [*range(MOST_WAITING), None]
    assert frames.dropped.total() == 0


def test_after_a_long_stall_the_newest_is_taken() -> None:
    frames, clock = queue()
    for i in range(4):
        frames.put(i, clock.now_s)
        clock.now_s += 0.1
    assert taken(frames) == 3
    assert frames.dropped == {Drop.LATE: 3}


def test_one_old_frame_is_better_than_none() -> None:
    frames, clock = queue()
    frames.put(7, clock.now_s)
    clock.now_s += 60.0
    assert taken(frames) == 7
    assert frames.dropped.total() == 0


def test_what_comes_at_once_and_is_too_much_costs_the_oldest() -> None:
    frames, clock = queue()
    for i in range(MOST_WAITING + 3):
        frames.put(i, clock.now_s)
    assert taken(frames) == 3
    assert frames.dropped == {Drop.FULL: 3}


def test_frames_of_the_time_of_opening_have_a_reason_of_their_own() -> None:
    frames, clock = queue()
    frames.put(0, clock.now_s)
    first = frames.take()
    assert first is not None
    frames.give_back(first)
    for i in range(1, MOST_WAITING + 5):
        frames.put(i, clock.now_s)
    assert taken(frames) == MOST_WAITING + 4
    assert frames.dropped == {Drop.OPENING: MOST_WAITING + 4}
    frames.put(100, clock.now_s)
    frames.put(101, clock.now_s)
    assert taken(frames) == 100


def test_the_first_frame_is_given_again_where_none_came_meanwhile() -> None:
    frames, clock = queue()
    frames.put(5, clock.now_s)
    first = frames.take()
    assert first is not None
    frames.give_back(first)
    clock.now_s += 60.0
    assert taken(frames) == 5
    assert frames.dropped.total() == 0


def test_the_writer_waits_where_all_are_wanted() -> None:
    frames, clock = queue(keep_all=True)
    writer = threading.Thread(target=lambda: [frames.put(i, clock.now_s) for i in range(50)])
    writer.start()
    clock.now_s += 60.0
    assert [taken(frames) for _ in range(50)] == list(range(50))
    writer.join(HANG_S)
    assert not writer.is_alive()
    assert frames.dropped.total() == 0


def test_the_end_lets_a_waiting_writer_go() -> None:
    frames, clock = queue(keep_all=True)
    frames.put(0, clock.now_s)
    writer = threading.Thread(target=lambda: frames.put(1, clock.now_s))
    writer.start()
    frames.end()
    writer.join(HANG_S)
    assert not writer.is_alive()
