"""What `import vgslam` offers, and the examples made of it."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import vgslam as package
from vgslam.errors import CalibrationError
from vgslam.sources import read_trajectory

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def test_the_public_names_are_those_of_their_modules() -> None:
    from vgslam.geometry.camera import Camera
    from vgslam.localizer import Localizer
    from vgslam.session.self_calibration import estimate_camera
    from vgslam.slam import Slam
    from vgslam.sources.open import open_source

    assert (package.Camera, package.Localizer, package.Slam) == (Camera, Localizer, Slam)
    assert (package.open_source, package.estimate_camera) == (open_source, estimate_camera)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'Slalom'"):
        package.Slalom  # noqa: B018


def test_without_a_camera_it_is_said_where_one_comes_from() -> None:
    with pytest.raises(CalibrationError, match=r"vgslam\.estimate_camera\(source\)"):
        package.Slam(None)


def test_the_version_is_that_of_the_distribution() -> None:
    assert package.__version__ == metadata.version("vgslam")
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", package.__version__)


def example(name: str, *words: object) -> list[str]:
    """The lines that an example prints in a process of its own."""
    done = called(name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def called(name: str, *words: object) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, words)], capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": path}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, demo_images: list[np.ndarray]) -> Path:
    """The first frames of the demo as a video."""
    path = tmp_path_factory.mktemp("video") / "short.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=30)
        stream.height, stream.width = demo_images[0].shape[:2]
        stream.bit_rate = 20_000_000
        for image in demo_images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_a_video_becomes_a_tum_file(video: Path, tmp_path: Path, demo_images: list[np.ndarray]) -> None:
    (line,) = example("track_video.py", video, tmp_path / "poses.tum", 70)
    trajectory = read_trajectory(tmp_path / "poses.tum")
    assert line.startswith(f"{len(trajectory)} of {len(demo_images)} frames have a pose")
    assert len(trajectory) > len(demo_images) / 2
    assert np.all(np.diff(trajectory.timestamps_s) > 0)


def test_poses_of_a_stream_are_printed(demo_folder: Path, video: Path, demo_images: list[np.ndarray]) -> None:
    lines = example("live_poses.py", video, demo_folder / "calib.json")
    assert len(lines) == len(demo_images)
    assert lines[0].endswith(" INITIALIZING")
    tracked = [line.split() for line in lines if " TRACKED " in line]
    assert len(tracked) > len(demo_images) / 2
    assert all(np.isfinite([float(x) for x in words[2:]]).all() and len(words) == 5 for words in tracked)


def test_a_photo_is_found_in_a_map(demo_folder: Path, tmp_path: Path, demo_images: list[np.ndarray]) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), demo_images[20][..., ::-1])
    noise = np.random.default_rng(0).integers(0, 255, demo_images[0].shape, np.uint8)
    cv2.imwrite(str(tmp_path / "foreign.png"), noise)
    made, found, foreign = example(
        "localize_photo.py", demo_folder, "-", tmp_path / "room.vgslam", tmp_path / "photo.png",
        tmp_path / "foreign.png",
    )  # fmt: skip
    assert re.search(r"room\.vgslam: \d+ keyframes", made)
    assert re.search(r"photo\.png: taken at (-?\d+\.\d{3} ){2}-?\d+\.\d{3}, trust (0\.[5-9]\d|1\.00)", found)
    assert foreign.endswith("foreign.png: not found")


DEMO = ROOT / "vgslam" / "assets" / "demo"
CALIB = DEMO / "calib.json"
WRONG_CALLS = [
    (["track_video.py"], "usage:"), (["track_video.py", "a.mp4"], "usage:"),
    (["track_video.py", "nowhere.mp4", "p.tum"], "nowhere.mp4"),
    (["track_video.py", DEMO / "demo.mp4", "p.tum", "wide"], "wide"),
    (["track_video.py", DEMO / "demo.mp4", "p.tum", "-3"], "between 5 and 170"),
    (["live_poses.py", "0"], "usage:"), (["live_poses.py", "nowhere.mp4", CALIB], "nowhere.mp4"),
    (["localize_photo.py", DEMO / "demo.mp4", CALIB, "m"], "usage:"),
    (["localize_photo.py", DEMO / "demo.mp4", CALIB, "m", "nowhere.jpg"], "nowhere.jpg"),
    (["localize_photo.py", DEMO / "demo.mp4", CALIB, "m", CALIB], "calib.json: is no image"),
    (["localize_photo.py", DEMO / "demo.mp4", "-", "m"], "usage:"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "named"), WRONG_CALLS, ids=lambda x: str(x) if isinstance(x, str) else "")
def test_a_wrong_call_of_an_example_is_one_line(words: list[object], named: str) -> None:
    done = called(str(words[0]), *words[1:])
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert named in done.stderr


def test_an_example_works_with_the_video_of_the_demo(tmp_path: Path) -> None:
    (line,) = example("track_video.py", DEMO / "demo.mp4", tmp_path / "poses.tum", CALIB)
    assert line.startswith("220 of 220 frames have a pose")
