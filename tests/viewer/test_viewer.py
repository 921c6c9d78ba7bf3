"""What a viewer is given, what of it is shown, and that it never takes more than its share."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgslam.errors import ConfigError, OutputError
from vgslam.types import Status, Trajectory
from vgslam.viewer.open import NullViewer, open_viewer
from vgslam.viewer.rerun_viewer import LoadLimit, VoxelFilter
from vgslam.viewer.strips import strips_by_status


def path(frame_ids: list[int], components: list[int]) -> Trajectory:
    n = len(frame_ids)
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 3] = frame_ids
    return Trajectory(np.array(frame_ids, float), T, np.array(frame_ids), np.array(components))


def test_a_path_is_cut_where_frames_have_no_pose_and_where_the_component_changes() -> None:
    strips = strips_by_status(path([0, 1, 2, 7, 8, 9, 10], [0, 0, 0, 0, 0, 1, 1]))
    told = [(s.component_id, s.status, s.points[:, 0].tolist()) for s in strips]
    assert told == [
        (0, Status.TRACKED, [0, 1, 2]),
        (0, Status.LOST, [2, 7]),
        (0, Status.TRACKED, [7, 8]),
        (1, Status.TRACKED, [9, 10]),
    ]


@pytest.mark.parametrize("n", [0, 1])
def test_a_path_of_fewer_than_two_poses_has_no_strip(n: int) -> None:
    assert strips_by_status(path(list(range(n)), [0] * n)) == []


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=2, max_size=30))
def test_strips_cover_every_step_within_a_component_once(steps: list[tuple[int, bool]]) -> None:
    ids = np.cumsum([s for s, _ in steps]).tolist()
    components = np.cumsum([c for _, c in steps]).tolist()
    got = sorted(
        (a, b) for s in strips_by_status(path(ids, components)) for a, b in zip(s.points[:, 0], s.points[1:, 0])
    )
    pairs = zip(ids, ids[1:], components, components[1:])
    assert got == sorted((a, b) for a, b, c, d in pairs if c == d)


def test_no_voxel_is_filled_twice() -> None:
    voxels = VoxelFilter(1.0, 1000)
    assert voxels.choose(np.array([[0.1, 0, 0], [0.9, 0, 0], [1.1, 0, 0], [-0.1, 0, 0]])).tolist() == [0, 2, 3]
    assert voxels.choose(np.array([[0.5, 0.5, 0.5], [5.0, 0, 0]])).tolist() == [1]


def test_the_cloud_is_bounded_and_its_end_is_shown_too() -> None:
    rng = np.random.default_rng(0)
    voxels = VoxelFilter(0.01, 1000)
    counts = [len(voxels.choose(rng.uniform(0, 1, (400, 3)) + np.array([i, 0, 0]))) for i in range(20)]
    assert sum(counts) == voxels.n_accepted <= 1000
    assert all(counts)
    assert counts[0] > 2 * counts[-1]


def test_voxels_of_no_size_are_refused() -> None:
    with pytest.raises(ValueError, match="voxel"):
        VoxelFilter(0.0, 10)


@given(st.lists(st.tuples(st.floats(0.001, 0.1), st.floats(0.0, 0.02)), min_size=1, max_size=200))
def test_showing_takes_its_share_and_no_more_than_one_item_beyond(items: list[tuple[float, float]]) -> None:
    limit, longest = LoadLimit(), max(cost for _, cost in items)
    for tracking_s, cost_s in items:
        limit.earn(tracking_s)
        if limit.allows(0.06):
            limit.spend(cost_s)
        assert limit.showing_s <= 0.06 * limit.tracking_s + longest


def test_nobody_watches_by_default() -> None:
    viewer = open_viewer(None, "x")
    assert isinstance(viewer, NullViewer)
    assert viewer.where == ""


def test_an_unknown_viewer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"spawn, web, or the name of a file that ends in \.rrd"):
        open_viewer("window", "x")


def test_a_recording_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the viewer extra is not installed")
    (tmp_path / "old.rrd").write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        open_viewer(str(tmp_path / "old.rrd"), "x")
    assert (tmp_path / "old.rrd").read_text() == "old"
