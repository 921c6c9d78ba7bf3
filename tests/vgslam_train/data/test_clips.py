"""Clips on disk: the same for the same seed, resumable, never half; and the overlaps that they store."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vgslam.errors import ConfigError
from vgslam_train.data import clips
from vgslam_train.data.cell_flow import cell_centres, cell_flow
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips, overlaps

TINY = ClipConfig(seed=3, n_frames=4, height=24, width=32, worlds_per_shard=2, clips_per_world=2)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    generate_clips(folder, TINY, 6)  # two shards of four
    return folder


def test_shards_are_whole_and_open(rendered: Path) -> None:
    clips = ClipSet.open(rendered)
    assert len(clips) == 8
    clip = clips[5]
    assert clip.images.shape == (4, 24, 32, 3)
    assert clip.images.std() > 5, "something is to be seen"
    assert clip.T_world_cam.shape == (4, 4, 4)
    assert (clip.inverse_depth >= 0).all()
    assert np.allclose(np.diag(clip.overlap), 1, atol=0.25), "a frame sees itself, the sky excepted"
    assert np.allclose(np.diag(clip.flow_px), 0, atol=1e-3)


def test_generation_goes_on_where_it_stopped(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without workers, in this process; what workers render is the same."""
    monkeypatch.setattr(clips, "ProcessPoolExecutor", lambda *_: pytest.fail("a process was started"))
    shown: list[str] = []
    generate_clips(tmp_path, TINY, 4, 0, shown.append)
    (tmp_path / ".shard_00001").mkdir()  # what a killed worker leaves
    first = (tmp_path / "shard_00000" / "images.npy").stat().st_mtime_ns
    generate_clips(tmp_path, TINY, 8, 0, shown.append)
    assert (tmp_path / "shard_00000" / "images.npy").stat().st_mtime_ns == first
    assert shown == ["rendered 4 of 4 clips", "rendered 8 of 8 clips"]
    for k in (0, 7):
        assert np.array_equal(ClipSet.open(tmp_path)[k].images, ClipSet.open(rendered)[k].images)
        assert np.array_equal(ClipSet.open(tmp_path)[k].T_world_cam, ClipSet.open(rendered)[k].T_world_cam)


def test_another_recipe_is_refused(rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another"):
        generate_clips(rendered, ClipConfig(seed=4), 1)
    with pytest.raises(ConfigError, match="no clips"):
        ClipSet.open(tmp_path)
    with pytest.raises(ConfigError, match="only 8 clips"):
        ClipSet.open(rendered, 100)


def test_validation_worlds_are_others() -> None:
    train, validation = ClipConfig(seed=0), ClipConfig(seed=0, is_validation=True)
    assert validation.first_seed > train.first_seed + 1_000_000 * train.worlds_per_shard


def test_flow_of_a_sideways_step_along_a_wall() -> None:
    """A wall 2 m away: 0.1 m to the right moves everything by f * 0.1 / 2 to the left."""
    K = torch.tensor([[[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]]])
    depth = torch.full((1, 24, 32), 2.0)
    T_reference_cam = torch.eye(4)[None].clone()
    T_reference_cam[0, 0, 3] = -0.1  # the reference camera stands 0.1 m to the right
    flow, visible = cell_flow(depth, T_reference_cam, K, depth)
    assert torch.allclose(flow[0, :, :, 0], torch.full((6, 8), -2.0), atol=1e-4)
    assert torch.allclose(flow[0, :, :, 1], torch.zeros(6, 8), atol=1e-4)
    expected = cell_centres(24, 32, torch.device("cpu"))[..., 0] - 2.0 >= 0
    assert torch.equal(visible[0], expected)


def test_occluded_and_unknown_cells_are_not_visible() -> None:
    K = torch.tensor([[[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]]])
    depth = torch.full((1, 24, 32), 2.0)
    depth[0, :8] = 0
    nearer = torch.full((1, 24, 32), 2.0)
    nearer[0, :, 16:] = 1.0  # something stands in front there
    _, visible = cell_flow(depth, torch.eye(4)[None], K, nearer)
    assert not visible[0, :2].any()
    assert visible[0, 2:, :4].all()
    assert not visible[0, 2:, 4:].any()


def test_overlap_of_opposite_views_is_nothing() -> None:
    T = np.stack([np.eye(4), np.diag([-1.0, 1.0, -1.0, 1.0])])
    share, flow = overlaps(np.full((2, 24, 32), 0.5, np.float16), T, np.array([40.0, 40.0, 15.5, 11.5]))
    assert share[0, 0] == 1
    assert share[0, 1] == share[1, 0] == 0
    assert flow[0, 1] == 0
