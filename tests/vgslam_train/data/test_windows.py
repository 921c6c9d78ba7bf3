"""Training windows: geometry stays exact through crops, resizing and mirrors; batches follow from seed and step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vgslam.errors import ConfigError
from vgslam_train.data.clips import Clip, ClipConfig, ClipSet, generate_clips
from vgslam_train.data.windows import (
    WindowBatch,
    WindowConfig,
    WindowSampler,
    mirrored,
    shrink_depth,
    true_flow,
    true_tracks,
)

CLIPS = ClipConfig(seed=11, n_frames=6, height=96, width=128, worlds_per_shard=2, clips_per_world=4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    generate_clips(folder, CLIPS, 8, workers=0)
    return ClipSet.open(folder)


def sampler(clips: ClipSet, **changes: object) -> WindowSampler:
    return WindowSampler(clips, WindowConfig(**({"batch_size": 6, "n_frames": 3} | changes)))  # type: ignore[arg-type]


def test_batches_follow_from_seed_and_step(clips: ClipSet) -> None:
    one_size = {"sizes": ((48, 64, 1.0),)}  # of several sizes the choice alone would tell batches apart
    a, b = sampler(clips, **one_size).batch(5), sampler(clips, **one_size).batch(5)
    for mine, again in zip(vars(a).values(), vars(b).values(), strict=True):
        assert torch.equal(mine, again)
    for other in (sampler(clips, **one_size).batch(6), sampler(clips, **one_size, seed=1).batch(5)):
        assert other.images.shape == a.images.shape
        assert not torch.equal(other.images, a.images)
        assert not torch.equal(other.T_world_cam, a.T_world_cam)


def test_windows_larger_than_the_clips_are_refused(clips: ClipSet) -> None:
    with pytest.raises(ConfigError, match="136x48 px do not fit into clips of 128x96 px"):
        sampler(clips, sizes=((48, 64, 0.9), (48, 136, 0.1)))
    with pytest.raises(ConfigError, match="64x104 px do not fit into clips of 128x96 px"):
        sampler(clips, sizes=((104, 64, 1.0),))


def test_windows_as_large_as_the_clips_are_their_frames(clips: ClipSet) -> None:
    batch = sampler(clips, sizes=((96, 128, 1.0),), augment=False).batch(0)
    every = [clips[i] for i in range(len(clips))]
    frames = torch.from_numpy(np.concatenate([clip.images for clip in every]))
    for image in batch.images.flatten(0, 1):
        difference = (frames - 255.0 * image.permute(1, 2, 0)).abs().amax(dim=(1, 2, 3))
        assert difference.min() < 1e-3
    for K in batch.K.tolist():
        assert K in [[[c.K[0], 0, c.K[2]], [0, c.K[1], c.K[3]], [0, 0, 1]] for c in every]


def test_shapes_and_ranges(clips: ClipSet) -> None:
    seen = set()
    for step in range(12):
        batch = sampler(clips, batch_size=2).batch(step)
        height, width = batch.images.shape[-2:]
        seen.add((height, width))
        assert batch.images.shape == (2, 3, 3, height, width)
        assert batch.depth.shape == (2, 3, height, width)
        assert batch.images.min() >= 0
        assert batch.images.max() <= 1
        assert torch.allclose(batch.T_world_cam[:, 0], torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
        assert height % 8 == width % 8 == 0
    assert len(seen) > 1, "windows come in several shapes"


@pytest.mark.parametrize("augment", [False, True])
def test_warping_by_depth_and_pose_gives_the_reference_image(clips: ClipSet, augment: bool) -> None:
    """The photometric check of everything at once: crop, resize, mirror, K, poses, depth and flow.

    Images of 48x64 px are coarse, so what is compared is cells' means, against the same means without any motion.
    """
    batch = sampler(clips, batch_size=16, augment=augment, sizes=((48, 64, 1.0),)).batch(1)
    flow, visible = true_flow(batch, "first")
    cells = torch.nn.functional.avg_pool2d(batch.images.flatten(0, 1), 2, 1, padding=0)
    cells = cells[:, :, 1::4, 1::4].unflatten(0, batch.images.shape[:2])
    errors, still = [], []
    for b in range(len(flow)):
        for s in (1, 2):
            seen = visible[b, s]
            if seen.sum() < 20:
                continue
            v, u = torch.meshgrid(torch.arange(12) * 4 + 1.5, torch.arange(16) * 4 + 1.5, indexing="ij")
            x, y = u + flow[b, s, ..., 0], v + flow[b, s, ..., 1]
            grid = torch.stack([(x + 0.5) * 2 / 64 - 1, (y + 0.5) * 2 / 48 - 1], -1)
            blurred = torch.nn.functional.avg_pool2d(batch.images[b, :1], 3, 1, 1)
            there = torch.nn.functional.grid_sample(blurred, grid[None].float(), align_corners=False)[0]
            errors.append(float((there - cells[b, s]).abs().mean(0)[seen].median()))
            still.append(float((cells[b, 0] - cells[b, s]).abs().mean(0)[seen].median()))
    assert len(errors) > 5
    assert np.median(errors) < 0.6 * np.median(still)


def test_mirror_keeps_the_geometry() -> None:
    """A point seen in both frames: its mirror image obeys the mirrored pose and K."""
    rng = np.random.default_rng(0)
    K = np.array([[50.0, 0, 30.0], [0, 55.0, 22.0], [0, 0, 1]])
    T = np.stack([np.eye(4), np.eye(4)])
    angle = 0.1
    T[1, :3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    T[1, :3, 3] = [0.2, -0.1, 0.05]
    images, depth = rng.random((2, 48, 64, 3)).astype(np.float32), rng.random((2, 48, 64)).astype(np.float32)
    m_images, m_depth, m_T, m_K = mirrored(images, depth, T, K)
    assert np.array_equal(m_images[:, :, 0], images[:, :, -1])
    assert np.array_equal(m_depth[:, :, 5], depth[:, :, 58])
    X = np.array([0.3, -0.2, 3.0])
    for i in range(2):
        there = np.linalg.inv(T[i]) @ [*X, 1]
        u, v = (K @ (there[:3] / there[2]))[:2]
        mirrored_there = np.linalg.inv(m_T[i]) @ [-X[0], X[1], X[2], 1]
        mu, mv = (m_K @ (mirrored_there[:3] / mirrored_there[2]))[:2]
        assert mu == pytest.approx(63 - u)
        assert mv == pytest.approx(v)


def test_depth_of_a_plane_shrinks_exactly() -> None:
    u, v = np.meshgrid(np.arange(128), np.arange(96))
    inverse = (0.2 + 0.001 * u + 0.002 * v).astype(np.float32)
    depth = shrink_depth(inverse, 64, 48)
    uu, vv = np.meshgrid(np.arange(64) * 2 + 0.5, np.arange(48) * 2 + 0.5)
    np.testing.assert_allclose(1 / depth, 0.2 + 0.001 * uu + 0.002 * vv, rtol=1e-5)
    inverse[10, 10] = 0
    assert shrink_depth(inverse, 64, 48)[5, 5] == 0


def test_tracks_agree_with_flow(clips: ClipSet) -> None:
    """The track of a cell's centre from frame 0 to i and the flow from i back to 0 undo each other."""
    batch = sampler(clips, batch_size=4, augment=False, sizes=((48, 64, 1.0),)).batch(2)
    flow, visible = true_flow(batch, "first")
    v, u = torch.meshgrid(torch.arange(12) * 4 + 1.5, torch.arange(16) * 4 + 1.5, indexing="ij")
    n_compared = 0
    for b in range(4):
        for s in (1, 2):
            seen = visible[b, s]
            if not seen.any():
                continue
            here = torch.stack([u, v], -1)[seen]
            there = (here + flow[b, s][seen]).float()
            back, tracked = true_tracks(
                WindowBatch(*(x[b : b + 1] for x in (batch.images, batch.depth, batch.T_world_cam, batch.K))),
                there[None],
            )
            error = (back[0, s] - here).norm(dim=-1)[tracked[0, s]]
            still = flow[b, s][seen].norm(dim=-1)[tracked[0, s]]
            assert float(error.median()) < min(0.5, 0.2 * float(still.median()) + 0.05)
            n_compared += 1
    assert n_compared > 4


def test_reference_must_be_known(clips: ClipSet) -> None:
    with pytest.raises(ValueError, match="reference"):
        true_flow(sampler(clips, batch_size=1).batch(0), "last")


def test_windows_that_cannot_be_are_an_error(clips: ClipSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="overlapping"):
        sampler(clips, min_overlap=1.1).batch(0)


def test_wide_windows_go_beyond_the_usual_limits(clips: ClipSet) -> None:
    """Where every pair of frames sees 20 % of the other and moves 40 % of the width, only wide windows are found."""
    class Far:
        config = clips.config

        def __len__(self) -> int:
            return len(clips)

        def __getitem__(self, k: int) -> Clip:
            clip = clips[k]
            return replace(clip, overlap=np.full((6, 6), 0.2), flow_px=np.full((6, 6), 0.4 * 128))

    usual = WindowSampler(Far(), WindowConfig(2, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no windows"):
        usual.batch(0)
    wide = WindowSampler(Far(), WindowConfig(2, 3, wide_share=0.5))  # type: ignore[arg-type]
    assert len(wide.batch(0).images) == 2


def test_without_wide_windows_nothing_else_is_drawn(clips: ClipSet) -> None:
    """Steps and start are the first draws where the share is 0, so that earlier runs can be repeated."""
    clip = replace(clips[0], overlap=np.ones((6, 6)), flow_px=np.zeros((6, 6)))
    rng = np.random.default_rng(3)
    steps = rng.integers(1, 3, 2)
    frames = int(rng.integers(0, 6 - steps.sum())) + np.array([0, *np.cumsum(steps)])
    assert sampler(clips, augment=False)._choose(clip, np.random.default_rng(3)) == frames.tolist()
    some = [sampler(clips, wide_share=1.0).batch(k).T_world_cam for k in range(4)]
    none = [sampler(clips).batch(k).T_world_cam for k in range(4)]
    assert max(float(x[..., :3, 3].norm(dim=-1).max()) for x in some) > max(
        float(x[..., :3, 3].norm(dim=-1).max()) for x in none
    )
