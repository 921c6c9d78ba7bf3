"""Times of image files: units, order, rounding, wild stamps."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.sources import SourceOptions, open_source
from vgslam.sources.image_times import Times, mended_files
from vgslam.sources.recording import Warnings

N = 20
CLOCK = 3.0 + np.arange(N) / 30.0


@pytest.fixture
def mend(tmp_path: Path):
    """mend(times, unit) -> (numbers of the images kept, their times, warnings)."""
    where = tmp_path / "times.txt"
    where.touch()

    def run(times: Times, unit: str = "s") -> tuple[list[int], Times, list[str]]:
        warnings = Warnings()
        files, mended = mended_files([Path(f"{i}.png") for i in range(len(times))], times, warnings, where, unit)
        return [int(file.stem) for file in files], mended, list(warnings)

    return run


def test_a_good_clock_stays_as_it_is(mend) -> None:
    ids, times, warnings = mend(CLOCK)
    assert (ids, times.tolist(), warnings) == (list(range(N)), CLOCK.tolist(), [])


@pytest.mark.parametrize(("per_s", "name"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")])
@pytest.mark.parametrize("epoch_s", [0.0, 1.7e9])
def test_another_unit_is_recognised_and_said(mend, per_s: float, name: str, epoch_s: float) -> None:
    ids, times, warnings = mend(np.round((epoch_s + CLOCK) * per_s))
    assert ids == list(range(N))
    assert times == pytest.approx(epoch_s + CLOCK, abs=1e-3)
    assert [f"times.txt: timestamps are taken as {name} (3" in line for line in warnings] == [True]


def test_microseconds_where_nanoseconds_are_documented(mend) -> None:
    _, times, warnings = mend(np.round(CLOCK * 1e6) * 1e-9, "ns")
    assert times == pytest.approx(CLOCK, abs=1e-6)
    assert "taken as microseconds" in warnings[0]


def test_fast_stamps_in_milliseconds_since_1970(mend) -> None:
    """Read as seconds, 4 apart could be a slow camera, but not one of today."""
    _, times, warnings = mend(1.7e12 + 4.0 * np.arange(N))
    assert np.diff(times) == pytest.approx(0.004, abs=1e-6)
    assert "milliseconds (250 frames/s)" in warnings[0]


def test_a_rate_that_no_unit_explains(mend) -> None:
    ids, times, warnings = mend(CLOCK * 1e-6)
    assert (ids, times.tolist()) == (list(range(N)), (CLOCK * 1e-6).tolist())
    assert "3e+07 frames/s by the timestamps, which no unit explains" in warnings[0]


def test_image_numbers_in_place_of_times(mend) -> None:
    _, times, warnings = mend(np.arange(float(N)))
    assert times.tolist() == list(range(N))
    assert "if they are image numbers, remove the file and give --fps" in warnings[0]


def test_a_slow_camera_stays_slow(mend) -> None:
    """A frame every five seconds is one; a frame every twenty is one of milliseconds."""
    _, times, warnings = mend(5.0 * np.arange(N))
    assert (times.tolist(), warnings) == ((5.0 * np.arange(N)).tolist(), [])
    _, times, warnings = mend(20.0 * np.arange(N))
    assert times == pytest.approx(0.02 * np.arange(N))
    assert "milliseconds (50 frames/s)" in warnings[0]


def test_a_frame_every_second_is_no_number_of_an_image_where_it_begins_elsewhere(mend) -> None:
    _, times, warnings = mend(7.0 + np.arange(N))
    assert (times.tolist(), warnings) == ((7.0 + np.arange(N)).tolist(), [])


def test_a_recording_before_an_earlier_one_is_moved_on_and_not_sorted(mend) -> None:
    ids, times, warnings = mend(np.concatenate([100.0 + np.arange(10) / 10.0, 50.0 + np.arange(10) / 10.0]))
    assert ids == list(range(20))
    assert times == pytest.approx(100.0 + np.arange(20) / 10.0)
    assert "the clock starts again there" in warnings[0]


@pytest.mark.parametrize("order", [np.arange(N)[::-1], np.random.default_rng(0).permutation(N)])
def test_images_out_of_order_are_put_in_order(mend, order: np.ndarray) -> None:
    ids, times, warnings = mend(CLOCK[order])
    assert times.tolist() == CLOCK.tolist()
    assert ids == np.argsort(order).tolist()
    assert warnings == ["times.txt: timestamps are out of order; the images are taken in the order of time"]


def test_whole_seconds_are_spread(mend) -> None:
    exact = np.arange(7, 74) / 10.0
    ids, times, warnings = mend(np.floor(exact))
    assert ids == list(range(len(exact)))
    assert times == pytest.approx(exact, abs=0.02)
    assert "rounded to 1 s, 10 images share one" in warnings[0]


def test_a_list_that_starts_again_is_moved_on(mend) -> None:
    ids, times, warnings = mend(np.concatenate([CLOCK, CLOCK, CLOCK]))
    assert ids == list(range(3 * N))
    assert times == pytest.approx(3.0 + np.arange(3 * N) / 30.0)
    assert warnings == [
        "2 images and those after moved on in time, the clock starts again there (recordings joined?): 20.png, 40.png"
    ]


def test_nominal_times_stay(tmp_path: Path) -> None:
    slow = 60.0 * np.arange(N)
    files, times = mended_files([tmp_path] * N, slow, Warnings(), tmp_path / "times.txt")
    assert (len(files), times.tolist()) == (N, slow.tolist())


@pytest.mark.parametrize("kind", ["plain", "kitti", "tum", "euroc"])
def test_every_layout_leaves_out_the_wild_image_alone(kind: str, tmp_path: Path, write_images) -> None:
    stamps = CLOCK.copy()
    stamps[8] += 86400.0
    names = [f"{i:06d}.png" for i in range(N)]
    ns = [round(t * 1e9) for t in stamps]
    folder, text = {
        "plain": ("images", "".join(f"{t:.6f}\n" for t in stamps)),
        "kitti": ("image_0", "".join(f"{t:.6f}\n" for t in stamps)),
        "tum": ("rgb", "".join(f"{t:.6f} rgb/{n}\n" for t, n in zip(stamps, names, strict=True))),
        "euroc": ("mav0/cam0/data", "".join(f"{t},{n}\n" for t, n in zip(ns, names, strict=True))),
    }[kind]
    images = write_images(tmp_path / folder, names)
    list_name = {"tum": "rgb.txt", "euroc": "mav0/cam0/data.csv"}.get(kind, "times.txt")
    (tmp_path / list_name).write_text(text)
    source = open_source(tmp_path)
    frames = list(source)
    assert (source.kind, source.n_frames, len(frames)) == (kind, N - 1, N - 1)
    assert [f.timestamp_s for f in frames] == pytest.approx(np.delete(CLOCK, 8), abs=1e-6)
    assert [int(f.image[0, 0, 2]) for f in frames] == [int(image[0, 0, 2]) for i, image in enumerate(images) if i != 8]
    assert "1 image skipped, timestamp far from those before and after: 000008.png" in source.warnings


def test_nominal_rates_may_be_slow(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    assert [f.timestamp_s for f in open_source(tmp_path, SourceOptions(fps=0.01))] == [0.0, 100.0, 200.0]
