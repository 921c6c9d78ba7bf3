"""The program where torch is not installed: it tracks, maps, relocalizes, scores and examines itself all the same."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import importlib.abc, json, sys

class Nowhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "huggingface_hub"):
            raise ImportError("No module named " + repr(name))

sys.meta_path.insert(0, Nowhere())
from vgslam.cli import main
codes = []
for words in json.loads(sys.argv[1]):
    sys.stdout.write("--\\n")
    sys.stdout.flush()
    sys.stderr.write("--\\n")
    codes.append(main(words))
sys.stdout.write("--\\n" + json.dumps(codes) + "\\n")
"""


def called(*commands: list[str]) -> tuple[list[int], list[str], list[str]]:
    """Exit codes, and what each command printed on standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(commands)], capture_output=True, text=True, cwd=ROOT, timeout=HANG_S,
        check=False,
    )  # fmt: skip
    *printed, codes = done.stdout.split("--\n")[1:]
    assert codes, done.stderr
    return json.loads(codes), printed, done.stderr.split("--\n")[1:]


def test_a_recording_becomes_a_map_in_which_a_photo_is_found(
    demo_folder: Path, demo_images: list[np.ndarray], tmp_path: Path
) -> None:
    out, photo = tmp_path / "out", tmp_path / "photo.png"
    cv2.imwrite(str(photo), demo_images[20][..., ::-1])
    into_map = ["--map", str(tmp_path / "map")]
    codes, printed, errors = called(
        ["run", str(demo_folder), "--out", str(out), "--quiet", "--max-frames", "30", *into_map],
        ["relocalize", str(tmp_path / "map"), str(photo)],
        ["eval", str(out), str(demo_folder / "groundtruth.txt")],
        ["map", "info", str(tmp_path / "map")],
        ["doctor"],
        ["doctor", "--licences"],
    )  # fmt: skip
    assert codes == [0] * 6, errors
    notes = [line for text in (*printed[:4], *errors[:4]) for line in text.splitlines() if "torch" in line]
    assert len(notes) == 1
    assert "no network is asked" in notes[0]
    assert notes[0].index("download.pytorch.org/whl/cpu") < notes[0].index("vgslam[network]")
    report = json.loads((out / "report.json").read_text())
    assert report["network"] is None
    assert report["complete"]
    assert "everything that is needed works" in printed[4]
    assert "failed" not in printed[4]


def test_what_asks_a_network_says_what_to_install(demo_folder: Path, tmp_path: Path) -> None:
    sequence = str(demo_folder)
    map_words = ["run", sequence, "--network", "none", "--quiet", "--max-frames", "20", "--map", str(tmp_path / "map")]
    commands = [
        ["run", sequence, "--network", "vggt", "--out", str(tmp_path / "a")],
        ["run", sequence, "--weights", "vggt-s", "--out", str(tmp_path / "a")],
        ["live", sequence, "--network", "da3-small", "--out", str(tmp_path / "a")],
        ["relocalize", str(tmp_path / "map"), f"{sequence}/images/0003.png", "--weights", "vggt-s"],
        ["adapt", sequence, "--out", str(tmp_path / "adapter.safetensors")],
        ["train", str(next((ROOT / "configs").rglob("*.yaml")))],
    ]
    codes, _, errors = called([*map_words, "--out", str(tmp_path / "m")], *commands)
    assert codes == [0, 6, 6, 6, 6, 6, 6]
    for text in errors[1:]:
        (line,) = text.splitlines()
        assert "needs torch" in line
        assert line.index("download.pytorch.org/whl/cpu") < line.index("vgslam[network]")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("options", ["network='vggt'", "network='auto', weights='vggt-s'"])
def test_a_program_that_asks_a_network_gets_the_same_error(options: str, demo_folder: Path) -> None:
    code = WITHOUT.split("from vgslam.cli")[0] + f"""
from vgslam.slam import Slam
from vgslam.errors import MissingDependencyError
try:
    Slam.open({str(demo_folder)!r}, {options})
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=HANG_S, check=True
    )  # fmt: skip
    assert "--network vggt needs torch" in done.stdout
