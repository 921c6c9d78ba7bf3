"""Clocks: whatever the stamps, no image is lost to another one's stamp."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vgslam.sources.clock_repair import Stamped, Verdict, repaired
from vgslam.sources.live import LiveClock

STEP_S = 0.04
starts = st.floats(-100.0, 1e6)


def mend(stamps: Sequence[float | None]) -> list[Stamped[int]]:
    return list(repaired(range(len(stamps)), lambda i: stamps[i], STEP_S))


def kept(stamps: Sequence[float | None]) -> dict[int, float]:
    """Times of the items that are kept, by their number."""
    return {stamped.item: stamped.time_s for stamped in mend(stamps) if stamped.time_s is not None}


@st.composite
def clocks(draw: st.DrawFn, least: int = 12, most: int = 50, uneven: float = 2.5) -> list[float]:
    """Stamps of a camera whose frames come a little unevenly."""
    first, steps = draw(starts), st.floats(STEP_S / uneven, STEP_S * uneven)
    return (first + np.cumsum(draw(st.lists(steps, min_size=least, max_size=most)))).tolist()


@given(clocks(least=1))
def test_good_stamps_are_passed_on_as_they_are(stamps: list[float]) -> None:
    assert [(s.time_s, s.verdict) for s in mend(stamps)] == [(stamp, Verdict.GOOD) for stamp in stamps]


@given(clocks(least=4), st.floats(0.5, 3600.0), st.data())
def test_a_pause_stays_as_long_as_it_was(stamps: list[float], pause_s: float, data: st.DataObject) -> None:
    at = data.draw(st.integers(2, len(stamps) - 2))
    paused = stamps[:at] + [stamp + pause_s for stamp in stamps[at:]]
    assert kept(paused) == dict(enumerate(paused))


@given(clocks(), st.one_of(st.floats(-1e9, -1.0), st.floats(200.0, 1e12)), st.data())
def test_a_wild_stamp_costs_its_own_image_alone(stamps: list[float], off_s: float, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(stamps) - 1))
    assume(at > 0 or not -100.0 < off_s < 0.0)  # the first stamp a little early: a pause after it
    wild = [*stamps[:at], stamps[at] + off_s, *stamps[at + 1 :]]
    assert kept(wild) == {i: stamp for i, stamp in enumerate(stamps) if i != at}


@given(clocks(least=45), st.lists(st.floats(200.0, 1e12), min_size=3, max_size=3))
def test_a_few_wild_stamps_cost_their_images_alone(stamps: list[float], off_s: list[float]) -> None:
    places = dict(zip((8, 21, 22), off_s, strict=True))
    wild = [stamp + places.get(i, 0.0) for i, stamp in enumerate(stamps)]
    assert kept(wild) == {i: stamp for i, stamp in enumerate(stamps) if i not in places}


@given(st.lists(clocks(least=8, most=20, uneven=1.2), min_size=2, max_size=4))
def test_a_clock_that_starts_again_costs_no_image(pieces: list[list[float]]) -> None:
    stamps = [stamp - piece[0] for piece in pieces for stamp in piece]
    mended = mend(stamps)
    times = [s.time_s for s in mended]
    assert all(time_s is not None for time_s in times)
    assert (np.diff(times) > 0).all()
    restarts = [s.item for s in mended if s.verdict is Verdict.RESTARTED]
    assert restarts == np.cumsum([len(piece) for piece in pieces])[:-1].tolist()
    at = 0
    for piece in pieces:  # within a piece the steps are those of its own clock
        assert np.diff(times[at : at + len(piece)]) == pytest.approx(np.diff(piece), abs=1e-6)
        at += len(piece)


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), max_size=60))
def test_times_increase_whatever_the_stamps(stamps: list[float | None]) -> None:
    mended = mend(stamps)
    assert [s.item for s in mended] == list(range(len(stamps)))
    times = [s.time_s for s in mended if s.time_s is not None]
    assert (np.diff(times) > 0).all()
    assert bool(times) == bool(stamps)


@given(st.integers(2, 40), st.sets(st.integers(1, 38)))
def test_missing_stamps_are_filled_from_the_rate_around(n: int, missing: set[int]) -> None:
    stamps = [None if i in missing else 7.0 + STEP_S * i for i in range(n)]
    assert kept(stamps) == pytest.approx({i: 7.0 + STEP_S * i for i in range(n)}, abs=1e-6)
    assert [i for i in range(n) if mend(stamps)[i].verdict is Verdict.FILLED] == sorted(i for i in missing if i < n)


@pytest.mark.parametrize("n_missing", [1, 5, 40])
def test_missing_first_stamps_are_counted_back(n_missing: int) -> None:
    rate = [10.0 + 0.1 * i for i in range(20)]
    times = kept([None] * n_missing + rate)
    assert times == pytest.approx({i: 10.0 + 0.1 * (i - n_missing) for i in range(n_missing + 20)})


def test_times_before_zero_are_moved_so_that_the_first_is_zero() -> None:
    stamps = [None] * 30 + [0.1 * i for i in range(20)]
    assert kept(stamps) == pytest.approx({i: 0.1 * i for i in range(50)})


def test_a_lead_that_is_known_needs_no_reading_ahead() -> None:
    n_read = 0

    def stream():
        nonlocal n_read
        for i in range(200):
            n_read += 1
            yield i

    stamped = next(repaired(stream(), lambda i: None if i < 100 else 50.0 + i, 1.0, lead=(100, 150.0)))
    assert (stamped.time_s, stamped.verdict) == (50.0, Verdict.FILLED)
    assert n_read < 20


def test_duplicates_and_a_step_back_cost_themselves() -> None:
    stamps = [0.0, 0.1, 0.1, 0.2, 0.15, 0.3, 0.4, 0.5]
    assert kept(stamps) == {i: stamp for i, stamp in enumerate(stamps) if i not in (2, 4)}
    assert [s.verdict for s in mend(stamps)][2:5] == [Verdict.DUPLICATE, Verdict.GOOD, Verdict.DECREASING]


@given(st.integers(1, 18), st.sampled_from([-3600.0, 3600.0, 86400.0 * 365]))
def test_a_wild_stamp_of_a_live_stream_moves_no_other(at: int, off_s: float) -> None:
    clock, arrivals = LiveClock(), [100.0 + STEP_S * i for i in range(20)]
    times = [clock.stamp(STEP_S * i + (off_s if i == at else 0.0), arrivals[i]) for i in range(20)]
    assert times == pytest.approx(arrivals, abs=1e-6)
