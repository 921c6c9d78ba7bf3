"""The 3-D view's data: what is drawn where, how large it is, and what is said of what is missing."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from page_runs import write_cloud, write_run

from vgslam.results.page import document, html, scene
from vgslam.results.page.document import page
from vgslam.results.page.html import label
from vgslam.results.page.run_data import RunData, read_run_data
from vgslam.results.page.viewpoint import nice_step, viewpoint
from vgslam.results.ply import read_ply_sample, write_ply
from vgslam.types import Trajectory


def scene_in(folder: Path) -> scene.Scene:
    made = scene.scene_of(read_run_data(folder))
    assert made is not None
    return made


def lines_named(made: scene.Scene, name: str) -> np.ndarray:
    chosen = [line.segments for line in made.lines if made.toggles[line.toggle].name == name]
    return np.concatenate(chosen)


def test_positions_are_off_by_half_a_step_at_most() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3)) * (1.0, 20.0, 0.001) + (5.0, -3.0, 0.0)
    points[:, 2] = 0.25  # a plane: no extent along z
    low, size, steps = document.quantised(points)
    assert steps.dtype == np.uint16
    again = low + size * (steps / 65535.0)
    assert (np.abs(again - points) <= size / 65535.0 / 2 + 1e-12).all()
    assert steps.max() == 65535


def test_the_page_holds_the_cloud_and_the_lines_as_they_are(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    write_cloud(folder, 1000)
    made = scene_in(folder)
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', page(read_run_data(folder)))
    assert found is not None
    told = json.loads(found[1])
    steps = np.frombuffer(base64.b64decode(told["points"]["positions"]), "<u2").reshape(-1, 3)
    again = told["points"]["low"] + np.array(told["points"]["size"]) * steps / 65535
    assert told["points"]["n"] == len(made.points) == 1000
    assert np.abs(again - made.points).max() < 1e-4
    assert base64.b64decode(told["points"]["colors"]) == made.colors.tobytes()
    for line, kept in zip(told["lines"], made.lines, strict=True):
        got = np.frombuffer(base64.b64decode(line["segments"]), "<f4").reshape(-1, 2, 3)
        assert line["n"] == len(got)
        assert np.allclose(got, kept.segments, atol=1e-6)


def test_the_view_has_the_cameras_up_up_and_looks_where_they_look() -> None:
    T = np.tile(np.eye(4), (3, 1, 1))
    T[:, 2, 3] = (0.0, 1.0, 2.0)
    view = viewpoint(T, np.zeros((0, 3)), is_upright=False)
    right, below, ahead = view.R_view_scene @ np.eye(3)
    assert np.allclose(view.R_view_scene @ (0, -1, 0), (0, 0, 1))
    assert np.allclose(view.R_view_scene @ (0, 0, 1), (0, 1, 0))
    assert np.allclose(view.R_view_scene @ (1, 0, 0), (1, 0, 0))
    assert np.allclose(view.seen(np.array([0.0, 0.0, 2.0])), (0, 1, 0))
    assert np.linalg.det(np.stack([right, below, ahead])) == pytest.approx(1)


def test_an_upright_map_has_z_up_and_cameras_that_look_down_have_a_view_too() -> None:
    down = np.eye(4)
    down[:3, :3] = np.diag((1.0, -1.0, -1.0))  # looks along -z
    view = viewpoint(down[None], np.zeros((0, 3)), is_upright=True)
    assert np.allclose(view.R_view_scene @ (0, 0, 1), (0, 0, 1))
    assert np.allclose(view.R_view_scene @ view.R_view_scene.T, np.eye(3))
    assert view.radius == 1.0


@pytest.mark.parametrize(
    ("length", "step"), [(1.0, 1.0), (1.99, 1.0), (2.0, 2.0), (4.9, 2.0), (60.0, 50.0), (0.03, 0.02)]
)
def test_the_grid_has_round_squares(length: float, step: float) -> None:
    assert nice_step(length) == pytest.approx(step)


def test_frames_without_a_pose_are_bridged_apart_from_the_path() -> None:
    times = np.array([0.0, 1.0, 4.0, 5.0])
    T = np.tile(np.eye(4), (4, 1, 1))
    T[:, 0, 3] = times
    line, gap = scene.path_segments(Trajectory(times, T, np.array([0, 1, 4, 5])), np.arange(6))
    assert line[:, :, 0].tolist() == [[0, 1], [4, 5]]
    assert gap[:, :, 0].tolist() == [[1, 4]]


def test_a_long_path_is_thinned_but_keeps_its_gaps_and_ends() -> None:
    n = 4 * scene.MOST_SEGMENTS
    ids = np.concatenate([np.arange(n // 2 + 1), np.arange(n // 2 + 3, n)])
    T = np.tile(np.eye(4), (len(ids), 1, 1))
    T[:, 0, 3] = ids
    line, gap = scene.path_segments(Trajectory(ids.astype(float), T, ids), np.arange(n))
    assert len(line) <= scene.MOST_SEGMENTS + 4
    assert gap[:, :, 0].tolist() == [[n // 2, n // 2 + 3]]
    assert line[0, 0, 0] == 0
    assert line[-1, 1, 0] == n - 1


def test_cameras_are_drawn_with_their_angles_of_view() -> None:
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 2, 3] = 1.0
    edges = scene.frusta(T, 0.5, 0.25)
    assert edges.shape == (16, 2, 3)
    rays = edges[:4, 1] - edges[:4, 0]  # from the first camera's centre to the corners
    assert np.allclose(np.abs(rays[:, :2] / rays[:, 2:]), (0.5, 0.25))
    assert rays[0, 2] == pytest.approx(0.04)  # no larger than a part of the path's extent


def test_a_loop_is_a_line_between_its_frames(tmp_path: Path) -> None:
    made = scene_in(write_run(tmp_path / "run"))
    path, loops = lines_named(made, "path"), lines_named(made, "loops")
    assert loops.shape == (1, 2, 3)
    assert np.allclose(loops[0], (path[0, 0], path[-1, 1]))


def test_lost_frames_and_components_have_toggles_of_their_own(tmp_path: Path) -> None:
    one = scene_in(write_run(tmp_path / "one", lost=(10, 11)))
    assert [t.name for t in one.toggles] == ["path", "keyframes", "without a pose", "loops", "grid"]
    two = scene_in(write_run(tmp_path / "two", components=(0, 3)))
    assert [(t.name, t.is_shown) for t in two.toggles] == [
        ("component 0", True), ("component 3", False), ("grid", True),
    ]  # fmt: skip
    assert two.toggles[0].color != two.toggles[1].color
    assert any("do not share a frame" in note for note in two.notes)


def test_with_the_truth_all_is_in_its_frame(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", n=60)
    data = read_run_data(folder)
    assert data.run is not None
    estimate = data.run.trajectory
    bend = 0.3 * np.sin(np.arange(len(estimate)) / 9.0)
    T = estimate.T_world_cam.copy()
    T[:, 0, 3] += bend
    shown = RunData(folder, data.report, run=data.run)
    bent = Trajectory(estimate.timestamps_s, T, estimate.frame_ids, estimate.component_ids)
    shown.run = type(data.run)(bent, None, data.run.frames)
    truth = T.copy()
    truth[:, :3, 3] = 3.0 * truth[:, :3, 3] + (1.0, 2.0, 3.0)
    shown.compare(Trajectory(estimate.timestamps_s, truth, is_metric=True))
    made = scene.scene_of(shown)
    assert made is not None
    assert made.unit == "m"
    assert np.allclose(lines_named(made, "truth"), lines_named(made, "path"), atol=1e-6)


def test_a_run_without_a_cloud_says_so_and_one_whose_cloud_is_damaged_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    assert "This run has no cloud" in page(read_run_data(folder))
    write_cloud(folder, 50)
    assert "This run has no cloud" not in page(read_run_data(folder))
    whole = (folder / "cloud.ply").read_bytes()
    (folder / "cloud.ply").write_bytes(whole[:-7])
    assert "The cloud is not shown: cloud.ply is cut short" in page(read_run_data(folder))


@pytest.mark.parametrize("head", [b"", b"ply\n", b"ply\nformat ascii 1.0\nelement vertex 1\nend_header\n1 2 3\n"])
def test_other_clouds_are_refused_in_one_line(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "cloud.ply").write_bytes(head)
    with pytest.raises(ValueError, match="is no cloud as vgslam writes it"):
        read_ply_sample(tmp_path / "cloud.ply", 10)


def test_a_cloud_is_read_back_in_an_even_selection(tmp_path: Path) -> None:
    points = np.arange(30.0).reshape(10, 3)
    colors = np.arange(30, dtype=np.uint8).reshape(10, 3)
    write_ply(tmp_path / "a.ply", points, colors)
    got, got_colors, n = read_ply_sample(tmp_path / "a.ply", 5)
    assert n == 10
    assert np.array_equal(got, points[::2])
    assert np.array_equal(got_colors, colors[::2])


def test_far_outliers_do_not_make_the_rest_small(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (1000, 3))
    points[:5] = 1e6
    write_ply(folder / "cloud.ply", points, np.zeros((1000, 3), np.uint8))
    made = scene_in(folder)
    assert len(made.points) == 995
    assert np.abs(made.points).max() < 5


def test_a_long_run_with_a_large_cloud_stays_below_eight_megabytes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", n=20_000)
    write_cloud(folder, 500_000)
    text = page(read_run_data(folder))
    assert len(text.encode()) < 8e6
    assert "125,000 of the 500,000 points of the cloud" in text


def test_names_cannot_end_the_data(tmp_path: Path) -> None:
    made = scene_in(write_run(tmp_path / "run"))
    made.lines[0] = scene.Lines(0, "</script><script>alert(1)</script>", 1.0, made.lines[0].segments)
    text = document.packed(made)
    assert "<" not in text
    assert json.loads(text)["lines"][0]["color"].startswith("</script>")


def test_the_page_may_run_its_own_script_alone(tmp_path: Path) -> None:
    text = page(read_run_data(write_run(tmp_path / "run")))
    assert "script-src &#x27;sha256-" in text
    assert f"<script>{html.script()}</script>" in text
    assert "</script" not in html.script()
    assert "</style" not in html.style()


@pytest.mark.parametrize(
    ("field", "name"),
    [("shift", "moved by [map units]"), ("loss_after", "loss after"), ("n_commits", "commits"),
     ("sigma_px", "sigma [px]"), ("s", "s"), ("n", "n"), ("gravity_sigma_deg", "gravity sigma [°]"), ("<b>", "<b>")],
)  # fmt: skip
def test_fields_have_names_for_people(field: str, name: str) -> None:
    assert label(field) == name


def test_the_script_is_sound() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, to check the script")
    file = Path(str(html.resources.files("vgslam"))) / "assets" / "page" / "view.js"
    assert subprocess.run([node, "--check", str(file)], check=False).returncode == 0
