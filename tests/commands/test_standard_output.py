"""Standard output that cannot take what is said: a full disk ends no run, and is an error; a closed pipe is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def program(words: list[str], out: int, **more: object) -> "subprocess.CompletedProcess[str]":
    """`python -m vgslam WORDS` with a file descriptor as standard output."""
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-m", "vgslam", *words], stdout=out, stderr=subprocess.PIPE, text=True, check=False, **more
    )


@needs_full
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["config"]])
def test_what_a_full_disk_does_not_take_is_an_error_in_one_line(words: list[str]) -> None:
    with FULL.open("wb") as full:
        done = program(words, full.fileno())
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "vgslam: standard output cannot be written (No space left on device): what was said is not complete"
    ]


@needs_full
def test_a_run_is_not_ended_by_messages_that_nobody_can_keep(demo_folder: Path, tmp_path: Path) -> None:
    """Both outputs on a full disk: results are complete, the exit code tells."""
    words = ["run", str(demo_folder), "--out", str(tmp_path / "out"), "--network", "none", "--max-frames", "6"]
    with FULL.open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "vgslam", *words], stdout=full, stderr=full, check=False)
    assert done.returncode == 3
    assert '"complete": true' in (tmp_path / "out" / "report.json").read_text()
    with FULL.open("wb") as full:
        done = program([*words, "--overwrite", "--poses", "-"], full.fileno())
    assert "warning: poses: no more lines can be written (No space left on device)" in done.stderr


def test_a_pipe_that_nobody_reads_ends_the_program_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = program(["config"], writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_stays_what_it_is_and_closed_outputs_do_no_harm(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m vgslam run {tmp_path / 'none.mp4'} >&-; echo $? >&2", shell=True, check=False,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said, code = done.stderr.splitlines()
    assert said.endswith("check the path")
    assert code == "2"
    done = subprocess.run(f"{sys.executable} -m vgslam --version >&- 2>&-", shell=True, check=False)
    assert done.returncode == 0
