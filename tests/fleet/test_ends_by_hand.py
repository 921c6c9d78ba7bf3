"""How the process of one recording is told, ended and judged, without any process."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vgslam.fleet import supervise as supervise_module
from vgslam.fleet import work as work_module
from vgslam.fleet.folder import FACTS, FleetFolder
from vgslam.fleet.supervise import CutShort, Watched, memory_of
from vgslam.fleet.task import Ending, TaskResult
from vgslam.fleet.work import MAP, RUN, _ended, _run, _tries
from vgslam.session.isolated import end_group, last_line


@pytest.mark.parametrize("slam_map", [None, Path("/maps/known")])
def test_a_process_is_told_whether_it_localizes(
    slam_map: Path | None, task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(work_module, "watch", lambda words, *_: told.append(words[-1]))
    _run(task("walk", "done"), tmp_path, Path("/r"), slam_map, None)
    order = json.loads(Path(told[0]).read_text())
    assert order["is_localizing"] == (slam_map is not None)
    assert order["map"] == str(tmp_path / MAP if slam_map is None else slam_map)


@pytest.mark.parametrize(("code", "cut", "has_facts", "ending"), [
    (0, None, True, Ending.LOST), (4, None, True, Ending.LOST), (4, None, False, Ending.FAILED),
    (3, None, True, Ending.FAILED), (4, CutShort.TIME, True, Ending.FAILED),
])  # fmt: skip
def test_results_are_published_of_a_process_that_ended_well_or_was_lost(
    code: int, cut: CutShort | None, has_facts: bool, ending: Ending, task: Any, folder: FleetFolder
) -> None:
    """Those that are there say that the camera was lost."""
    with folder.working("k") as work:
        (work / "log").write_text("said")
        (work / RUN).mkdir()
        if has_facts:
            facts = {"ending": "lost", "error": "", "facts": {"n_frames": 3}}
            (work / RUN / FACTS).write_text(json.dumps(facts))
        asked = task("walk", "done")
        folder.log("walk", asked.key).write_text("of an earlier try")
        found = _ended(asked, folder, work, Watched(code, cut, 1.0, 0, "said"))
    assert found.ending is ending
    log = folder.log("walk", found.key)
    assert (log.read_text() if log.exists() else "") == ("said" if ending is Ending.FAILED else "")


def test_the_largest_memory_is_in_mib(task: Any, folder: FleetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "_run", lambda *_: Watched(0, None, 1.0, 3 * 2**20, ""))
    monkeypatch.setattr(work_module, "_ended", lambda *_: TaskResult("k", Ending.DONE))
    assert _tries(task("walk", "done"), folder, Path(), None, None).peak_mib == 3.0


def test_the_last_line_of_the_log_is_what_went_wrong(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("frame 1\n\nvgslam: out: no space left\n  \n")
    assert last_line(log) == "vgslam: out: no space left"
    log.write_text("")
    assert last_line(log) == ""


@pytest.mark.parametrize(("returncode", "patience_s", "signals"), [
    (None, 5.0, [signal.SIGTERM, signal.SIGKILL]), (None, 0.0, [signal.SIGKILL]), (0, 5.0, [signal.SIGKILL]),
])  # fmt: skip
def test_a_group_is_asked_to_end_before_it_is_killed(
    returncode: int | None, patience_s: float, signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(supervise_module.os, "killpg", lambda pid, number: sent.append(number))
    end_group(SimpleNamespace(returncode=returncode, pid=0, wait=lambda *_: 0), patience_s)  # type: ignore[arg-type]
    assert sent == signals


def test_memory_is_that_of_a_process_and_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 1 of 5 pages has started 2 of 7, and that one 3 of 11; 4 has gone."""
    for pid, pages, children in ((1, 5, "2 4"), (2, 7, "3"), (3, 11, "")):
        (tmp_path / f"proc/{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/statm").write_text(f"99 {pages} 1")
        (tmp_path / f"proc/{pid}/task/{pid}/children").write_text(children)
    monkeypatch.setattr(supervise_module, "Path", lambda text: tmp_path / text.lstrip("/"))
    monkeypatch.setattr(supervise_module.os, "sysconf", lambda name: 4096)
    assert memory_of(1) == 23 * 4096
    assert memory_of(4) == 0


def test_work_that_nobody_goes_on_with_is_removed_when_a_folder_is_opened(tmp_path: Path) -> None:
    with FleetFolder.driving(tmp_path) as opened:
        left = opened.path / ".work" / "k-1"
        left.mkdir()
    with FleetFolder.driving(tmp_path):
        assert not left.exists()
