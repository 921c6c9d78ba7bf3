"""How a live run ends: by hand before there is anything, and with a camera that is gone for good."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from live_servers import Server, jpeg, part

from vgslam.system import SlamSystem
from vgslam.types import Frame, PoseEstimate


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
