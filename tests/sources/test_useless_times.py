"""Lists of times that say less than they should, or say it otherwise: used where that is safe, and said."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import CalibrationError
from vgslam.sources import open_source
from vgslam.sources.image_times import N_STUCK, Untimed, mended_stream
from vgslam.sources.recording import Warnings

N = 12
EVEN = np.arange(N) / 30.0
EPOCH_NS = [1_403_636_579_763_555_584 + 50_000_000 * i for i in range(N)]
PNG = cv2.imencode(".png", np.random.default_rng(1).integers(0, 256, (48, 64)).astype(np.uint8))[1].tobytes()


def folder(path: Path, lines: list[str]) -> Path:
    (path / "images").mkdir()
    for i in range(N):
        (path / "images" / f"{i:03d}.png").write_bytes(PNG)
    (path / "times.txt").write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("line", "times", "said"),
    [
        (lambda i: "0.0", EVEN, "all timestamps are the same: 30 frames/s assumed"),
        (lambda i: f"{EPOCH_NS[i]:.4e}", EVEN, "all timestamps are the same: 30 frames/s assumed"),
        (lambda i: f"{i} {0.1 * i:.1f}", 0.1 * np.arange(N), "first column counts the lines"),
        (lambda i: f"{i},{0.5 * i}", 0.5 * np.arange(N), "first column counts the lines"),
        (lambda i: f"0,{i:02d}5", 0.01 * np.arange(N) + 0.005, ""),
        (lambda i: f"{0.1 * i:.1f} {i}", 0.1 * np.arange(N), ""),
    ],
    ids=["zeros", "spreadsheet", "counted", "counted csv", "decimal comma", "counted last"],
)
def test_lists(line: Callable[[int], str], times: np.ndarray, said: str, tmp_path: Path) -> None:
    source = open_source(folder(tmp_path, [line(i) for i in range(N)]))
    assert [t for _, t in source.names_and_times()] == pytest.approx(times)  # type: ignore[attr-defined]
    assert any(said in w for w in source.warnings) or not said
    assert not any("skipped" in w for w in source.warnings)


def test_a_header_is_no_time(tmp_path: Path) -> None:
    source = open_source(folder(tmp_path, ["timestamp", *(f"{t:.6f}" for t in EVEN)]))
    assert [t for _, t in source.names_and_times()] == pytest.approx(EVEN, abs=1e-6)  # type: ignore[attr-defined]


@pytest.mark.parametrize("write", [lambda ns: f"{ns:.6e}", lambda ns: f"{ns / 1e9:.6f}"], ids=["rounded", "seconds"])
def test_euroc_names_stand_in_for_a_list_without_nanoseconds(write: Callable[[int], str], tmp_path: Path) -> None:
    data = tmp_path / "mav0" / "cam0" / "data"
    data.mkdir(parents=True)
    for ns in EPOCH_NS:
        (data / f"{ns}.png").write_bytes(PNG)
    (data.parent / "data.csv").write_text("\n".join(f"{write(ns)},{ns}.png" for ns in EPOCH_NS))
    source = open_source(tmp_path)
    times = [t for _, t in source.names_and_times()]  # type: ignore[attr-defined]
    assert times == pytest.approx(np.array(EPOCH_NS) / 1e9)
    assert any("those in the names of the images are taken" in w for w in source.warnings)


def tum(path: Path, name: str) -> Path:
    (path / "rgb").mkdir()
    for t in EVEN:
        (path / "rgb" / f"{t:.6f}.png").write_bytes(PNG)
    (path / "rgb.txt").write_text("\n".join(f"{t:.6f} {name.format(t)}" for t in EVEN))
    return path


def test_tum_lists_of_windows(tmp_path: Path) -> None:
    assert open_source(tum(tmp_path, "rgb\\{:.6f}.png")).n_frames == N


def test_tum_calibrations_are_read_like_others(tmp_path: Path) -> None:
    path = tum(tmp_path, "rgb/{:.6f}.png")
    (path / "calibration.txt").write_text("50 51 31 23\n")
    camera = open_source(path).camera
    assert camera is not None
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (50, 51, 31, 23)
    for text, said in (("", "is empty"), ("# fx fy cx cy\n", "must name its fields"), ("50 51 2 1000\n", "principal")):
        (path / "calibration.txt").write_text(text)
        with pytest.raises(CalibrationError, match=said):
            open_source(path)


def stream(stamps: list[float]) -> tuple[list[float], Warnings]:
    warnings = Warnings()
    images = [Untimed(str(i), stamp, lambda: np.zeros((1, 1), np.uint8)) for i, stamp in enumerate(stamps)]
    return [raw.timestamp_s for raw in mended_stream(iter(images), warnings)], warnings


def test_a_clock_of_a_stream_that_stands_still_costs_no_image() -> None:
    times, warnings = stream([7.0] * N)
    assert times == pytest.approx(EVEN)
    assert any("the same timestamp, which is not used" in w for w in warnings)
    times, warnings = stream([0.0] * N_STUCK + [10 + 0.1 * i for i in range(N)])
    assert times[N_STUCK:] == pytest.approx([10 + 0.1 * i for i in range(N)])
    assert np.diff(times) == pytest.approx([0.1] * (N_STUCK + N - 1)), "as missing ones, by the rate of those after"
    times, warnings = stream([0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
