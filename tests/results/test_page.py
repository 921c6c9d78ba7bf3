"""The page of a run: whole in itself, true to the folder, and without sections that have no data."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.results.page import html, sections
from vgslam.results.page.document import page
from vgslam.results.page.html import script
from vgslam.results.page.run_data import read_run_data
from vgslam.results.page.sections import spans_without_pose
from vgslam.results.status import StatusTable
from vgslam.types import Status, Trajectory

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Balanced(HTMLParser):
    """Collects headings, and complains of tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def headings(text: str) -> list[str]:
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.headings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of six frames, lost in the middle, with a name that must be escaped."""
    report = {
        "complete": True, "source_name": "<b>room</b>", "n_frames": 6, "n_poses": 4, "cpu_s": 3.0, "wall_s": 4.0,
        "stage_cpu_s": {"track": 1.0, "map": 0.5}, "warnings": ["a & b"], "a_later_field": 1,
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))
    rows = ["frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe"]
    poses = []
    for i, status in enumerate(["TRACKED", "TRACKED", "LOST", "LOST", "RELOCALIZED", "TRACKED"]):
        rows.append(f"{i},{0.1 * i:.9f},{status},50,0.9,0,0")
        if status != "LOST":
            poses.append(f"{0.1 * i:.9f} {0.1 * i} 0 {0.01 * i * i} 0 0 0 1")
    (tmp_path / "status.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "trajectory.tum").write_text("\n".join(poses) + "\n")
    return tmp_path


def test_the_page_asks_nothing_of_the_network_and_shows_names_as_they_are(folder: Path) -> None:
    text = page(read_run_data(folder))
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:|["'])""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "&lt;b&gt;room&lt;/b&gt;" in text
    assert "<b>room</b>" not in text
    assert "a &amp; b" in text


def test_only_sections_with_data_appear(folder: Path) -> None:
    got = headings(page(read_run_data(folder)))
    assert got == ["Warnings", "3-D view", "Path", "Status", "Losses and relocalizations", "Timings"]


def test_loops_and_adaptation_appear_once_the_report_tells_of_them(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    report["loops"] = [{"frame": 5, "to_frame": 0, "inliers": 44}]
    report["adaptation"] = {"n_commits": 1, "commits": [{"frame": 3, "loss_before": 0.5, "loss_after": 0.25}]}
    (folder / "report.json").write_text(json.dumps(report))
    text = page(read_run_data(folder))
    assert {"Loops", "Adaptation"} <= set(headings(text))
    assert "<td class=number>44</td>" in text
    assert "<th class=number>loss after</th>" in text


def test_a_live_run_tells_how_it_kept_up(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    report["live"] = {"n_captured": 200, "n_dropped": 25, "n_reconnects": 1, "latency_p50_ms": 31.5, "n_damaged": None}
    (folder / "report.json").write_text(json.dumps(report))
    text = page(read_run_data(folder))
    assert "Live input" in headings(text)
    assert "12.5 %" in text
    assert "31.5" in text


def test_with_the_truth_the_errors_are_those_of_the_evaluation(folder: Path) -> None:
    data = read_run_data(folder)
    assert data.run is not None
    estimate = data.run.trajectory
    T = estimate.T_world_cam.copy()
    T[:, :3, 3] = 2.0 * T[:, :3, 3] + 1.0
    data.compare(Trajectory(estimate.timestamps_s, T, is_metric=True))
    assert data.evaluation is not None
    assert data.evaluation.headline.ate_m.rmse < 1e-6
    assert "Error" in headings(page(data))


def test_a_truth_of_another_time_is_a_note_and_no_crash(folder: Path) -> None:
    data = read_run_data(folder)
    data.compare(Trajectory(np.array([900.0, 901.0, 902.0]), np.tile(np.eye(4), (3, 1, 1))))
    assert data.evaluation is None
    assert "not compared with the truth" in page(data)


def test_a_run_that_was_killed_at_once_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"complete": false, "stopped_by": "still running, or killed"}')
    text = page(read_run_data(tmp_path))
    headings(text)
    assert "did not reach its end: still running, or killed" in text


@pytest.mark.parametrize("content", [None, "{", "[]", '{"a": 1}'])
def test_what_is_no_run_is_refused_with_its_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read_run_data(tmp_path)


def test_a_folder_that_is_not_there_is_told_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run: is not there") as error:
        read_run_data(tmp_path / "run")
    assert "Errno" not in str(error.value)
    with pytest.raises(InputError, match=r"is a folder without a report\.json"):
        read_run_data(tmp_path)


def test_losses_are_told_with_their_ends() -> None:
    tracked, lost, found = Status.TRACKED, Status.LOST, Status.RELOCALIZED
    statuses = [Status.INITIALIZING, tracked, lost, found, lost, lost, tracked, lost]
    n = len(statuses)
    component = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    table = StatusTable(np.arange(n), 0.5 * np.arange(n), statuses, component, np.zeros(n, np.int64))
    spans = spans_without_pose(table)
    assert [(s.first_frame, s.n_frames, s.duration_s, s.ended_by) for s in spans] == [
        (2, 1, 1.0, "RELOCALIZED"), (4, 2, 1.5, "a new component"), (7, 1, 0.5, "the end of the run"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (0.123456, "0.1235"), (12, "12"), ({"a": 1.0}, "a 1"), ([1, 2], "1, 2")],
)
def test_values_are_shown_for_a_person(value: object, text: str) -> None:
    assert html.show(value) == text


def test_bars_of_the_stages_add_up_to_the_run(folder: Path) -> None:
    text = sections.timings(read_run_data(folder))
    assert [float(s) for s in re.findall(r"<td class='number'>([\d.]+) s</td>", text)] == [1.5, 1.0, 0.5]


def test_hostile_names_make_no_live_html(folder: Path) -> None:
    """A script, an attribute and control characters wherever a report has text, in values and in names of fields."""
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\ud800"
    report = json.loads((folder / "report.json").read_text())
    report |= {
        "source_name": evil, "source_kind": evil, "warnings": [evil], "stopped_by": evil, "complete": False,
        "stage_cpu_s": {evil: 1.0}, "machine": {evil: evil}, "command": [evil], "camera": {evil: evil},
        "loops": [{evil: evil}], "adaptation": {evil: [{evil: evil}]}, "refinement": {"lines": [evil]},
        "model_id": evil, "live": {"n_captured": evil}, "map": {"path": evil}, "version": evil, "n_keyframes": evil,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "config.yaml").write_text(f"path: '{evil[:-1]}'\n")
    text = page(read_run_data(folder))

    class Live(HTMLParser):
        found: tuple[str, ...] = ()
        scripts: tuple[str, ...] = ()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += (tag,) if tag == "script" else ()
            self.found += tuple(name for name, _ in attrs if name.startswith("on"))

        def handle_data(self, data: str) -> None:
            self.scripts += (data,) if self.cdata_elem == "script" else ()

    live = Live()
    live.feed(text)
    assert live.found == ("script", "script")  # the page's own, and the data of the 3-D view
    assert live.scripts[0] == script()
    assert "\x1b" not in text
    assert "alert(1)" in text  # shown as text
    text.encode()
