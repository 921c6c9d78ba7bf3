"""Every Python program that README and docs show is run by some test: this one, or the one that RUN_BY names."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from waiting import HANG_S

from vgslam import open_source
from vgslam.sources import SourceOptions

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "vgslam" / "assets" / "demo"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?:python|py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN_BY = {
    "Slam.open(": "tests/session/test_pose_stream.py, with a server in place of the camera",
    "docs/extend.md": "tests/plugins/test_document.py, page by page",
}
"""Words of a program, or its page, and what runs it."""


def programs() -> list[tuple[str, str]]:
    """Page and text of each program that is not run elsewhere."""
    shown = [(page.relative_to(ROOT).as_posix(), code) for page in PAGES for code in BLOCK.findall(page.read_text())]
    return [(page, code) for page, code in shown if not any(word in code or word == page for word in RUN_BY)]


def test_other_tests_that_run_programs_are_there() -> None:
    assert programs()
    assert [where for where in RUN_BY.values() if not (ROOT / where.split(",")[0]).is_file()] == []


@pytest.mark.parametrize(("page", "code"), programs())
def test_programs_run(page: str, code: str, tmp_path: Path) -> None:
    """In a folder with a calibrated `sequence/`, the demo's first frames."""
    folder = tmp_path / "sequence"
    (folder / "images").mkdir(parents=True)
    for frame in open_source(DEMO / "demo.mp4", SourceOptions(max_frames=12)):
        cv2.imwrite(str(folder / "images" / f"{frame.id:04d}.png"), frame.image[..., ::-1])
    (folder / "calib.json").write_text((DEMO / "calib.json").read_text())
    code += "\nassert len(slam.map.frames) == 12 and len(trajectory) > 6\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=HANG_S, check=False,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, f"{page}: {done.stderr}"
