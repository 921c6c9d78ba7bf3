"""Telemetry: figures of each second by hand, and the endpoint for Prometheus."""

import json
import threading
import urllib.error
import urllib.request
from array import array
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from waiting import HANG_S

from vgslam.errors import ConfigError
from vgslam.session.main_loop import Tracked
from vgslam.session.run import Run
from vgslam.session.telemetry import Stats, Telemetry, exposition, served, ticking
from vgslam.types import Frame, PoseEstimate, Status


def fake_run() -> Any:
    slam = SimpleNamespace(map=SimpleNamespace(keyframes=[1, 2, 3]))
    live = SimpleNamespace(dropped={"late": 4})
    return SimpleNamespace(latencies_s=array("d"), loop=SimpleNamespace(live=live), slam=slam)


def tracked(i: int) -> Tracked:
    return Tracked(Frame(i, float(i), np.zeros((2, 2, 3), np.uint8)), PoseEstimate(i, float(i), Status.LOST), 0.0, 0.0)


def test_each_second_is_told_by_itself() -> None:
    clock, cpu, run, told = [0.0], [0.0], fake_run(), []
    telemetry = Telemetry(cast(Run, run), told.append, lambda: clock[0], lambda: cpu[0], lambda: 77.0)
    for i in range(30):
        clock[0] += 0.1
        cpu[0] += 0.05
        run.latencies_s.append(0.010 if i < 10 else 0.001 * (i - 9))
        telemetry(tracked(i))
    assert len(told) == 3 or len(told) == 2, "rounding of the clock may put the last just after the end"
    first, second = told[:2]
    assert first.n_frames in (10, 11)
    assert (first.latency_p50_ms, first.cpu_percent) == (pytest.approx(10.0), pytest.approx(50.0))
    assert first.frames_per_s == pytest.approx(10.0, abs=0.1)
    assert second.latency_max_ms < second.n_frames - 8
    assert second.latency_p50_ms < second.latency_p95_ms < second.latency_max_ms
    assert (first.dropped, first.n_keyframes, first.status, first.memory_mib) == ({"late": 4}, 3, "LOST", 77.0)
    assert telemetry.newest is told[-1]
    assert json.loads(first.to_json())["dropped"] == {"late": 4}
    assert "4 late" in first.line()
    assert "\n" not in first.line()


def test_a_camera_that_sends_nothing_is_not_told_as_tracked() -> None:
    clock, run, told = [0.0], fake_run(), []
    telemetry = Telemetry(cast(Run, run), told.append, lambda: clock[0], lambda: 0.0, lambda: 77.0)
    run.latencies_s.append(0.01)
    telemetry(tracked(0))
    for clock[0] in (1.1, 2.2):
        telemetry.tick()
    assert [(s.status, s.frames_per_s > 0) for s in told] == [("LOST", True), ("NO FRAMES", False)]
    assert "vgslam_tracked 0" in exposition(replace(told[-1], n_frames=9)).splitlines()


def test_it_reports_by_itself_within_the_block_and_a_reader_that_went_away_hears_no_more() -> None:
    heard, run = threading.Event(), fake_run()

    def gone(stats: Stats) -> None:
        heard.set()
        raise BrokenPipeError

    clock = iter(range(0, 10**6, 2))
    telemetry = Telemetry(cast(Run, run), gone, lambda: float(next(clock)), lambda: 0.0, lambda: 77.0)
    with ticking(telemetry, every_s=0.001):
        assert heard.wait(HANG_S)
    assert telemetry.newest is not None
    heard.clear()
    telemetry.tick()
    assert not heard.is_set()


STATS = Stats(120, "TRACKED", 30.0, 9.0, 20.0, 31.0, 2, 17, {"full": 1, "late": 3}, 120.0, 256.0)


def test_the_text_for_prometheus() -> None:
    lines = exposition(STATS).splitlines()
    for line in (
        "vgslam_frames_total 120", 'vgslam_latency_seconds{quantile="0.95"} 0.02', "vgslam_mapping_lag_frames 2",
        'vgslam_dropped_frames_total{reason="late"} 3', "vgslam_tracked 1", "vgslam_cpu_cores 1.2",
        "vgslam_resident_memory_bytes 268435456", "# TYPE vgslam_frames_total counter",
    ):  # fmt: skip
        assert line in lines
    values = [line for line in lines if not line.startswith("#")]
    assert all(float(line.rsplit(" ", 1)[1]) >= 0 for line in values)


def test_it_is_served_on_this_machine_and_only_while_the_run_lasts() -> None:
    newest: list[Stats | None] = [None]
    with served(0, lambda: newest[0]) as port:
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{address}/metrics") as answer:
            assert b"vgslam_frames_total" not in answer.read()
        newest[0] = STATS
        with urllib.request.urlopen(f"{address}/metrics") as answer:
            assert answer.headers.get_content_type() == "text/plain"
            assert b"vgslam_frames_total 120\n" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404") as no:
            urllib.request.urlopen(f"{address}/")
        no.value.close()
        with pytest.raises(ConfigError, match="metrics-port"), served(port, lambda: None):
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/metrics")


def test_a_port_that_is_none() -> None:
    with pytest.raises(ConfigError, match="metrics-port"), served(70000, lambda: None):
        pass
