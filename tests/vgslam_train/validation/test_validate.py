"""The validation table: what it says of guesses whose quality is known."""

import json

import numpy as np
import pytest
import torch

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.pose_solver import solve_poses
from vgslam.network.readout import cell_depth
from vgslam_train.data.clips import Clip, ClipConfig, overlaps
from vgslam_train.data.windows import WindowBatch, true_flow
from vgslam_train.validation.pose_measures import constant_depth, identity_poses
from vgslam_train.validation.validate import ValidationSet, WindowGuess, procedural_sets, real_sets, validate
from vgslam_train.worlds.sequences import render_sequence
from vgslam_train.worlds.textures import TextureBank


@pytest.fixture(scope="module")
def rendered():
    """Two batches of windows of 8 frames, 48x64."""
    bank = TextureBank(4, 64)
    camera = Camera.from_fov(64, 48, 70.0)
    batches = []
    for seed in range(2):
        s = render_sequence("room", "walk", 8, seed, camera, bank=bank)
        images = torch.from_numpy(s.images).permute(0, 3, 1, 2).float()[None] / 255
        depth = torch.from_numpy(np.where(np.isfinite(s.depth), s.depth, 0))[None]
        T = torch.from_numpy(se3.inverse(s.T_world_cam[0]) @ s.T_world_cam)[None]
        batches.append(WindowBatch(images, depth, T, torch.from_numpy(camera.K)[None]))
    return ValidationSet("rooms", batches)


def first_frames(windows: ValidationSet, n_frames: int) -> ValidationSet:
    """The same windows cut to their first frames, named after their number."""
    cut = [WindowBatch(b.images[:, :n_frames], b.depth[:, :n_frames], b.T_world_cam[:, :n_frames], b.K)
           for b in windows.batches]  # fmt: skip
    return ValidationSet(f"{windows.name}, {n_frames} frames", cut)


def perfect(batch):
    T = torch.linalg.inv(batch.T_world_cam)
    return WindowGuess(T, T, 7.0 * batch.depth.clamp(min=1e-3))


def lazy(batch):
    return WindowGuess(identity_poses(batch), None, constant_depth(batch))


@pytest.mark.parametrize("n_frames", [2, 4, 8])
def test_a_perfect_guess_has_no_error(rendered, n_frames):
    (row,) = validate(perfect, [first_frames(rendered, n_frames)]).rows
    assert (row.name, row.n_windows, row.n_frames) == (f"rooms, {n_frames} frames", 2, n_frames)
    for score in (row.head, row.solver):
        assert score.rotation_deg.count == 2 * (n_frames - 1)
        assert score.rotation_deg.mean == pytest.approx(0, abs=1e-5)
        assert score.direction_deg.count == 0 or score.direction_deg.mean == pytest.approx(0, abs=1e-4)
    assert row.depth.mean == pytest.approx(0, abs=1e-5)
    assert row.identity.rotation_deg.mean > 0.1
    assert row.constant_depth.mean > 0.05


def test_a_guess_that_is_the_baseline_scores_like_it(rendered):
    (row,) = validate(lazy, [rendered]).rows
    assert row.head == row.identity
    assert row.depth == row.constant_depth
    assert row.solver is None


def test_poses_of_a_guess_are_camera_from_world(rendered):
    def upside_down(batch):
        return WindowGuess(batch.T_world_cam, batch.T_world_cam, constant_depth(batch))

    (row,) = validate(upside_down, [rendered]).rows
    assert row.head.rotation_deg.median > 1.5 * row.identity.rotation_deg.median


def test_nonsense_is_the_worst_not_left_out(rendered):
    def broken(batch):
        return WindowGuess(batch.T_world_cam * torch.nan, None, batch.depth * torch.nan)

    (row,) = validate(broken, [rendered]).rows
    assert row.head.rotation_deg.median == 180
    assert row.depth.count == 2
    assert np.isinf(row.depth.mean)
    assert json.loads(validate(broken, [rendered]).to_json())[0]["depth"]["mean"] is None


def test_baselines_alone(rendered):
    (row,) = validate(None, [rendered]).rows
    assert row.head is None
    assert row.depth is None
    assert 0 <= row.classical_found <= 1
    assert row.classical.rotation_deg.count == row.identity.rotation_deg.count
    (quick,) = validate(None, [rendered], with_classical=False).rows
    assert (quick.classical, quick.classical_found, quick.identity) == (None, None, row.identity)


@pytest.mark.parametrize("with_classical", [True, False])
def test_markdown_and_json_say_the_same(rendered, with_classical):
    table = validate(perfect, [rendered, first_frames(rendered, 2)], with_classical=with_classical)
    lines = table.to_markdown().splitlines()
    assert len(lines) == 4
    heading, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in lines)
    assert {len(r) for r in rows} == {len(heading)}
    read = json.loads(table.to_json())
    assert [r["name"] for r in read] == [r[0] for r in rows] == ["rooms", "rooms, 2 frames"]
    identity = read[0]["identity"]["rotation_deg"]
    assert rows[0][heading.index("identity")] == f"{identity['median']:.2f} / {identity['mean']:.2f}"
    assert rows[0][heading.index("window median")].startswith(f"{read[0]['constant_depth']['median']:.3f}")


def test_what_cannot_be_scored_is_named(rendered):
    with pytest.raises(ValueError, match="'empty' has no windows"):
        validate(None, [ValidationSet("empty", [])])
    with pytest.raises(ValueError, match="'rooms, 1 frames' has no windows"):
        validate(None, [first_frames(rendered, 1)])

    def short(batch):
        return WindowGuess(batch.T_world_cam[:, :2], None, batch.depth)

    with pytest.raises(ValueError, match="'rooms': guesses"):
        validate(short, [rendered])


def test_true_flow_and_depth_solved_are_the_true_poses(rendered):
    """Flow, depth, poses and solver agree on every convention: axes, half pixels, references, direction."""

    def solved(batch):
        pairs = [true_flow(batch, reference) for reference in ("first", "previous")]
        flow, seen = (torch.stack(x, dim=2) for x in zip(*pairs, strict=True))
        depth = cell_depth(batch.depth.clamp(min=1e-3))
        result = solve_poses(depth, flow, seen.double(), batch.K)
        assert result.is_valid.all()
        return WindowGuess(result.T_cam_world, result.T_cam_world, batch.depth.clamp(min=1e-3))

    (row,) = validate(solved, [first_frames(rendered, 4)]).rows
    assert row.identity.rotation_deg.mean > 1
    assert row.solver.rotation_deg.mean < 0.02
    assert row.solver.direction_deg.mean < 1


class FewClips:
    """Stands in for a ClipSet: two clips of 8 frames, 64x48."""

    config = ClipConfig(n_frames=8, height=48, width=64)

    def __init__(self):
        bank, camera = TextureBank(4, 64), Camera.from_fov(64, 48, 70.0)
        K = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        self.clips = []
        for seed in range(2):
            s = render_sequence("room", "walk", 8, seed, camera, bank=bank)
            inverse = (1 / s.depth).astype(np.float16)
            self.clips.append(Clip(s.images, inverse, s.T_world_cam, K, *overlaps(inverse, s.T_world_cam, K)))

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, k):
        return self.clips[k]


def test_procedural_sets_are_fixed():
    clips = FewClips()
    sets, again = (procedural_sets(clips, (2, 4), 3) for _ in range(2))
    assert [(s.name, s.n_windows, s.n_frames) for s in sets] == [
        ("procedural, 2 frames", 3, 2), ("procedural, 4 frames", 3, 4)
    ]  # fmt: skip
    for a, b in zip(sets, again, strict=True):
        assert torch.equal(a.batches[0].images, b.batches[0].images)
        assert torch.equal(a.batches[0].T_world_cam, b.batches[0].T_world_cam)


def test_sequences_that_are_not_there_are_left_out(tmp_path):
    assert real_sets(tmp_path) == []
