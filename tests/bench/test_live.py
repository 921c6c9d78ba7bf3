"""`python -m bench live`: the server dies midway and the figures say so; clocks that count from somewhere are found."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import pose

from bench.live import BenchLiveArgs, LiveOutcome, _on_the_sequence_clock
from vgslam.types import Trajectory


def test_the_whole_of_it(demo_folder: Path, bench, tmp_path: Path) -> None:
    code, out, err = bench(
        "live", demo_folder, "--rate-hz", 10, "--restart-at", 0.6, "--gap-s", 0.3, "--out", tmp_path / "b",
        "--live-options=--every-frame --slam.mapper.dense-every 0",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((tmp_path / "b" / "bench_live.json").read_text())["outcomes"][0]
    assert found["n_sent"] == 45 - 3
    assert found["n_outage"] == 3
    assert found["live"]["n_reconnects"] == 1
    assert found["n_frames"] in (41, 42)  # the last one before the end may be cut off
    assert found["n_components"] == 1
    assert found["ate_m"]["groundtruth"] < 0.03
    assert found["clock_offsets_s"] == []
    assert "| mjpeg | 42 |" in out
    assert (tmp_path / "b" / "bench_live.md").read_text() in out
    code, _, err = bench("live", demo_folder, "--out", tmp_path / "b")
    assert code == 3
    assert "--overwrite" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(("--restart-at", 1.5), 2, "restart-at"), (("--rate-hz", 0), 2, "rate"),
     (("--protocols", "ffmpeg-rtsp", "--ffmpeg", "no-such-ffmpeg"), 6, "no-such-ffmpeg")],
)  # fmt: skip
def test_what_cannot_work(words: tuple[object, ...], code: int, said: str, demo_folder: Path, bench) -> None:
    found, _, err = bench("live", demo_folder, "--out", bench.out, *words)
    assert found == code
    assert said in err


def test_the_offset_of_each_connection_is_found() -> None:
    """Poses stamped by clocks that began 0.4 and 1.1 s late, at half the sequence's rate, with another scale."""
    t = np.arange(0, 20, 1 / 30)
    T = np.array([pose((0, 0, 0), (np.sin(s), np.cos(1.3 * s), 0.2 * s)) for s in t])
    truth = Trajectory(t, T, is_metric=True)
    parts = ((0.0, 8.0, 0.4, 1000.0), (11.0, 19.0, 1.1, 1050.0))
    stamps, poses = [], []
    for begins_s, ends_s, late_s, clock_s in parts:
        mine = (t >= begins_s + late_s) & (t <= ends_s)
        stamps.append(clock_s + 2.0 * (t[mine] - begins_s - late_s))  # the first pose is at the clock's beginning
        poses.append(T[mine])
    T_est = np.concatenate(poses)
    T_est[:, :3, 3] *= 3.0
    args, outcome = BenchLiveArgs(Path("x"), rate_hz=15.0), LiveOutcome("ffmpeg-rtsp")
    estimate = Trajectory(np.concatenate(stamps), T_est)
    placed = _on_the_sequence_clock(outcome, estimate, truth, args, (1000.0, 1050.0), (0.0, 11.0))
    assert outcome.clock_offsets_s == pytest.approx([0.4, 1.1], abs=0.01)
    n = len(stamps[0])
    assert placed[0] == pytest.approx(0.4, abs=0.01)
    assert placed[n] == pytest.approx(12.1, abs=0.01)
    assert (np.diff(placed) > 0).all()
