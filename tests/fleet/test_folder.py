"""The folder of a fleet and the summary in it."""

import csv
import io
from pathlib import Path

import pytest

from vgslam.errors import OutputError
from vgslam.fleet.folder import FleetFolder
from vgslam.fleet.items import Item
from vgslam.fleet.summary import COLUMNS, Line, counts, csv_text, page, write_summary
from vgslam.fleet.task import Ending, Facts, TaskResult
from vgslam.fleet.work import found

KEY = "0123456789abcdef0123"


def made(folder: FleetFolder, text: str, name: str = "walk") -> Path:
    with folder.working(KEY) as work:
        (work / "run").mkdir()
        (work / "run" / "facts.json").write_text(text)
        folder.publish(work / "run", name, KEY)
    return folder.path / "results" / f"walk-{KEY}"


def test_a_folder_is_held_by_one_driver(tmp_path: Path) -> None:
    with FleetFolder.driving(tmp_path / "out") as first:
        with pytest.raises(OutputError, match="another run"), FleetFolder.driving(tmp_path / "out"):
            pass
        assert FleetFolder.seen(str(first.path), first.tag).path == first.path
    with FleetFolder.driving(tmp_path / "out") as second:
        assert second.tag == first.tag


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="no fleet's"), FleetFolder.driving(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_first_results_stay(folder: FleetFolder) -> None:
    place = made(folder, "first")
    made(folder, "second", "called otherwise")
    assert [p.name for p in (folder.path / "results").iterdir()] == [place.name]
    assert (place / "facts.json").read_text() == "first"
    assert folder.result_of(KEY) == f"results/walk-{KEY}"
    assert folder.done() == {KEY: f"results/walk-{KEY}"}
    assert folder.starts() == [KEY, KEY]


def test_what_a_killed_task_left_is_swept_and_what_is_worked_on_is_not(folder: FleetFolder) -> None:
    left = folder.path / ".work" / "left"
    left.mkdir()
    (left / ".lock").touch()
    with folder.working(KEY) as work:
        (work / "half").touch()
        folder.sweep()
        assert (work / "half").exists()
        assert not left.exists()
    assert not work.exists()


def test_damaged_results_are_named(folder: FleetFolder, task) -> None:
    made(folder, "{")
    with pytest.raises(OutputError, match="is damaged"):
        found(folder, task("walk", "done"), folder.result_of(KEY) or "")


def lines() -> list[Line]:
    done = TaskResult(KEY, Ending.DONE, "", "results/a", Facts(10, 9, 1, 2, 3.5, True, 4.0), False, 1, 2.0, 100.0)
    return [
        Line(Item("/a.mp4", "a"), done),
        Line(Item("/<b>.mp4", "<script>b"), TaskResult(KEY, Ending.FAILED, "<img src=x> failed")),
        Line(Item("https://me:secret@host/c.mp4?sig=secret", "c", trouble='it, "is" not there'), None),
        Line(Item("/d.mp4", "d"), None),
    ]


def test_the_summary_has_a_row_for_each() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(lines()))))
    assert tuple(rows[0]) == COLUMNS
    assert [r["ending"] for r in rows] == ["done", "failed", "failed", "open"]
    assert (rows[0]["coverage"], rows[0]["length"], rows[0]["unit"]) == ("0.9000", "3.5", "m")
    assert rows[1]["coverage"] == ""
    assert rows[2]["error"] == 'it, "is" not there'
    assert counts(lines()) == "1 done, 2 failed, 1 open"


def test_the_page_escapes_what_comes_from_outside_and_keeps_secrets(tmp_path: Path) -> None:
    (tmp_path / "results" / "a").mkdir(parents=True)
    (tmp_path / "results" / "a" / "thumbnail.jpg").write_bytes(b"jpg")
    text = page(tmp_path, "<i>title</i>", lines())
    assert "<script" not in text
    assert "<img src=x>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;b" in text
    assert "secret" not in text + csv_text(lines())
    assert "data:image/jpeg;base64,anBn" in text
    assert text.count("<tr class=") == 4


def test_a_summary_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_summary(tmp_path / "gone", "x", lines())
