"""A short piece of the demo sequence as a folder of images, and the program called as a person would."""

import json
import os
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"
N_FRAMES = 45
BLANK = cv2.imencode(".png", np.full((4, 4, 3), 255, np.uint8))[1].tobytes()
"""The picture of a figure that nobody looks at."""


@pytest.fixture(scope="session")
def demo_images() -> list[np.ndarray]:
    """The first frames of the demo, RGB."""
    with av.open(str(DEMO / "demo.mp4")) as video:
        return [f.to_ndarray(format="rgb24") for _, f in zip(range(N_FRAMES), video.decode(video=0))]


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory, demo_images: list[np.ndarray]) -> Path:
    """Plain layout: images, times, calibration, truth. Do not write into it; use `sequence`."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "images").mkdir()
    truth = [line for line in (DEMO / "groundtruth.txt").read_text().splitlines() if not line.startswith("#")]
    times = [line.split()[0] for line in truth[:N_FRAMES]]
    for i, image in enumerate(demo_images):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), image[..., ::-1])
    (folder / "times.txt").write_text("\n".join(times) + "\n")
    shutil.copy(DEMO / "calib.json", folder)
    (folder / "groundtruth.txt").write_text("\n".join(truth[:N_FRAMES]) + "\n")
    return folder


@pytest.fixture
def sequence(tmp_path: Path, demo_folder: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(demo_folder, tmp_path / "sequence"))


@pytest.fixture
def vgslam(capsys: pytest.CaptureFixture[str], tmp_path: Path, lean_runs: None):
    """Calls the program; returns exit code, stdout and stderr. `vgslam.out` is a fresh output folder."""
    from vgslam.cli import main

    return _program(main, capsys, tmp_path)


@pytest.fixture
def lean_runs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Runs find one core, so that none starts a second process, unless `@pytest.mark.two_cores` stands at the test or
    in its file. Figures are made, but not painted, which is a quarter of a short run, but for `@pytest.mark.painted`.
    """
    if request.node.get_closest_marker("two_cores") is None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    if request.node.get_closest_marker("painted") is None:
        monkeypatch.setattr("vgslam.results.plots._png", _unpainted)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Calls `python -m bench` in the same way."""
    from bench.cli import main

    return _program(main, capsys, tmp_path)


def _unpainted(draw: Callable[..., object], *given: object) -> bytes:
    from vgslam.results.plots import load_libraries

    load_libraries()
    draw(*given)
    return BLANK


def _program(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str], tmp_path: Path):
    class Program:
        out = tmp_path / "out"

        def __call__(self, *words: object) -> tuple[int, str, str]:
            capsys.readouterr()
            code = main([str(w) for w in words])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        def run(self, path: Path, *words: object) -> tuple[int, str, str]:
            """On one core, so that what a test has put into this process is used."""
            return self("run", path, "--out", self.out, "--quiet", "--cores", 1, *words)

        def report(self) -> dict:
            return json.loads((self.out / "report.json").read_text())

        def statuses(self) -> list[str]:
            return [row.split(",")[2] for row in (self.out / "status.csv").read_text().splitlines()[1:]]

    return Program()
