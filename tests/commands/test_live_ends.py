"""How a live run ends: by hand, before there is anything or with a map to adjust, and with a camera that is gone."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from live_servers import Server, jpeg, part

from vgslam.map.slam_map import SlamMap
from vgslam.refine.problem import Problem, gather
from vgslam.system import SlamSystem
from vgslam.types import Frame, Ids, PoseEstimate

pytestmark = pytest.mark.two_cores


@pytest.fixture(scope="module")
def parts(demo_images: list[np.ndarray]) -> list[bytes]:
    return [part(jpeg(image), i / 30.0) for i, image in enumerate(demo_images)]


@pytest.fixture
def live(vgslam, demo_folder: Path) -> Callable[..., tuple[int, str, str]]:
    def run(url: str, *words: object) -> tuple[int, str, str]:
        given = ("--calib", demo_folder / "calib.json", "--quiet", "--every-frame", *words)
        return vgslam("live", url, "--out", vgslam.out, *given)

    return run


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_is_ended_before_any_pose_is_no_success(
    sign: signal.Signals, code: int, parts: list[bytes], live, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `vgslam run`: the signal, and what there is."""
    process = SlamSystem.process

    def first_only(self: SlamSystem, frame: Frame) -> PoseEstimate:
        estimate = process(self, frame)
        if frame.id == 0:
            signal.raise_signal(sign)
        return estimate

    monkeypatch.setattr(SlamSystem, "process", first_only)
    with Server(lambda _: iter(parts)) as server:
        found, _, err = live(server.url)
    assert found == code
    assert "before any of 1 frame(s) had a pose" in err
    report = vgslam.report()
    assert (report["complete"], report["n_frames"], len(vgslam.statuses())) == (False, 1, 1)
    assert "before any" in report["stopped_by"]


def test_a_camera_that_is_gone_for_good_ends_as_an_input_that_breaks_midway(parts: list[bytes], live, vgslam) -> None:
    def body(n: int) -> Iterator[bytes]:
        return iter(parts[:30] if n == 0 else [])

    with Server(body) as server:
        code, _, err = live(server.url, "--give-up-s", 0.6, "--map", vgslam.out.parent / "m.vgslam")
    assert code == 2
    assert "given up" in err
    report = vgslam.report()
    assert report["complete"] is False
    assert "no frame for 0.6 s after 30 frames: given up" in report["stopped_by"]
    assert (report["n_frames"], report["n_poses"]) == (30, 30)
    assert {"trajectory.tum", "status.csv", "cloud.ply", "plots"} <= {p.name for p in vgslam.out.iterdir()}
    assert vgslam("map", "check", vgslam.out.parent / "m.vgslam")[0] == 0


N_SEEN = 90
"""Frames of the demo that make more than ten keyframes."""


@pytest.fixture
def after_frames(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Raises a signal when the system is through with N_SEEN frames."""
    process = SlamSystem.process

    def patch(sign: signal.Signals) -> None:
        def counting(self: SlamSystem, frame: Frame) -> PoseEstimate:
            estimate = process(self, frame)
            if frame.id == N_SEEN - 1:
                signal.raise_signal(sign)
            return estimate

        monkeypatch.setattr(SlamSystem, "process", counting)

    return patch


def test_ended_by_ctrl_c_the_map_is_adjusted_as_a_whole(parts: list[bytes], live, vgslam, after_frames) -> None:
    after_frames(signal.SIGINT)
    with Server(lambda _: iter(parts)) as server:
        code, _, _ = live(server.url)
    report = vgslam.report()
    assert (code, report["complete"], report["n_poses"]) == (0, True, N_SEEN)
    [component] = report["refinement"]["components"]
    assert component["is_kept"]
    assert component["after"]["mean_px"] < component["before"]["mean_px"]


def test_ended_by_sigterm_it_is_saved_as_it_is_at_once(parts: list[bytes], live, vgslam, after_frames) -> None:
    after_frames(signal.SIGTERM)
    with Server(lambda _: iter(parts)) as server:
        code, _, _ = live(server.url, "--map", vgslam.out.parent / "m.vgslam")
    report = vgslam.report()
    assert (code, report["complete"], report["n_poses"]) == (0, True, N_SEEN)
    assert report["refinement"]["is_interrupted"]
    assert [c["is_kept"] for c in report["refinement"]["components"]] == [False]
    assert vgslam("map", "check", vgslam.out.parent / "m.vgslam")[0] == 0


def test_a_second_ctrl_c_skips_the_adjustment_and_nothing_else(
    parts: list[bytes], live, vgslam, after_frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_frames(signal.SIGINT)

    def impatient(slam_map: SlamMap, members: Ids) -> Problem:
        signal.raise_signal(signal.SIGINT)
        return gather(slam_map, members)

    monkeypatch.setattr("vgslam.refine.refine_map.gather", impatient)
    with Server(lambda _: iter(parts)) as server:
        code, _, _ = live(server.url)
    report = vgslam.report()
    assert (code, report["n_poses"], len(vgslam.statuses())) == (130, N_SEEN, N_SEEN)
    assert report["refinement"]["is_interrupted"]
    assert "Ctrl-C" in report["stopped_by"]
    assert {"trajectory.tum", "cloud.ply", "plots"} <= {p.name for p in vgslam.out.iterdir()}
