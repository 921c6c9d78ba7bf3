"""The whole frontend on small rendered sequences: poses, keyframes, loss and recovery."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, pose, render, room, smooth_texture

from vgslam.frontend.static_watch import StaticWatch
from vgslam.frontend.tracker import View
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.rotation_mean import mean_rotation
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.loop_search import LoopSearch
from vgslam.reloc.loops import LoopFinder, Meeting
from vgslam.slam import Slam, SlamConfig
from vgslam.types import Array, Image, PoseEstimate, Status

HAS_POSE = (Status.TRACKED, Status.RELOCALIZED)


def run(images: list[Image], config: SlamConfig | None = None) -> tuple[Slam, list[PoseEstimate]]:
    """The finished run, and what was said of each frame at once."""
    slam = Slam(CAMERA, config)
    said = [slam.process(f) for f in frames_of(images)]
    slam.finish()
    return slam, said


def statuses(slam: Slam) -> list[Status]:
    return [f.status for f in slam.map.frames]


def aligned(slam: Slam, truth: Array, component: int = 0) -> tuple[float, float, Sim3]:
    """RMSE of positions over the path's length after a similarity, largest rotation error (deg) after the rotations
    alone are aligned (a short path says little of them), and S_truth_map."""
    found = slam.map.trajectory()
    mine = found.component_ids == component
    ids, T = found.frame_ids[mine], found.T_world_cam[mine]
    S = umeyama(truth[ids, :3, 3], T[:, :3, 3])
    error = np.linalg.norm(truth[ids, :3, 3] - S.apply(T[:, :3, 3]), axis=1)
    length = np.linalg.norm(np.diff(truth[ids, :3, 3], axis=0), axis=1).sum()
    R = mean_rotation(truth[ids, :3, :3] @ np.swapaxes(T[:, :3, :3], 1, 2))
    angle = max(se3.angle_deg((R @ a[:3, :3]).T @ b[:3, :3]) for a, b in zip(T, truth[ids]))
    return float(np.sqrt((error**2).mean()) / length), angle, S


def unrelated(i: int) -> Image:
    return np.repeat(smooth_texture(320, seed=80 + i)[:240, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def walked(walk) -> tuple[Slam, list[PoseEstimate]]:
    return run(walk.images)


def test_every_frame_gets_a_pose_close_to_the_truth(walked, walk) -> None:
    slam, _ = walked
    assert all(s is Status.TRACKED for s in statuses(slam))
    assert {f.component_id for f in slam.map.frames} == {0}
    relative, angle, _ = aligned(slam, walk.T_world_cam)
    assert relative < 0.005
    assert angle < 0.2


def test_what_is_said_at_once_agrees_with_the_last_word(walked) -> None:
    slam, said = walked
    known = [e for e in said if e.T_ref_cam is not None]
    assert len(known) > 10
    assert said[0].status is Status.INITIALIZING
    for e in known:
        final = slam.map.pose_of(slam.map.frames[e.frame_id])
        now = slam.map.pose_of(e)
        np.testing.assert_allclose(now, final, atol=0.05)


def test_landmarks_lie_on_the_surfaces(walked, walk) -> None:
    slam, _ = walked
    _, _, S = aligned(slam, walk.T_world_cam)
    marks = slam.map.landmarks
    ids = np.flatnonzero(marks.is_triangulated & (marks.rel_sigma < 0.05))
    assert len(ids) > 60
    errors = []
    for i in ids:
        k = slam.map.keyframes[marks.host[i]]
        u, v = CAMERA.project(marks.xyz_host[i][None])[0].round().astype(int)
        z = walk.depth[k.frame_id][v, u]
        errors.append(abs(S.s * marks.xyz_host[i, 2] * k.S_world_keyframe.s / z - 1.0))
    assert np.median(errors) < 0.02


def median_motion(slam: Slam, a: int, b: int) -> tuple[float, float]:
    """Median motion (px) of the landmarks that two keyframes share, and their share of those of the first."""
    m = slam.map
    shared, ia, ib = np.intersect1d(m.observed[a].ids, m.observed[b].ids, return_indices=True)
    moved = np.linalg.norm(m.observed[a].pixels[ia] - m.observed[b].pixels[ib], axis=1)
    return float(np.median(moved)), len(shared) / len(m.observed[a].ids)


@pytest.mark.parametrize("parallax_px", [8.0, 30.0])
def test_keyframes_come_at_the_parallax_asked_for(walk, parallax_px: float) -> None:
    config = SlamConfig()
    config = replace(config, mapper=replace(config.mapper, min_parallax_px=parallax_px, min_shared=0.0))
    slam, _ = run(walk.images, config)
    keyframes = slam.map.keyframes
    assert [k.id for k in keyframes] == list(range(len(keyframes)))
    pairs = list(zip(range(1, len(keyframes) - 1), range(2, len(keyframes))))
    assert len(pairs) >= 1
    for a, b in pairs:
        moved, _ = median_motion(slam, a, b)
        assert parallax_px * 0.9 < moved < parallax_px + 15.0


def test_keyframes_come_when_little_is_shared(walk) -> None:
    config = SlamConfig()
    rare = run(walk.images, replace(config, mapper=replace(config.mapper, min_parallax_px=1e9, min_shared=0.3)))[0]
    often = run(walk.images, replace(config, mapper=replace(config.mapper, min_parallax_px=1e9, min_shared=0.9)))[0]
    assert len(often.map.keyframes) > len(rare.map.keyframes)


def test_two_runs_are_the_same(walked, walk) -> None:
    again, _ = run(walk.images)
    np.testing.assert_array_equal(again.map.trajectory().T_world_cam, walked[0].map.trajectory().T_world_cam)
    assert len(again.map.landmarks) == len(walked[0].map.landmarks)


def test_nobody_changes_the_map_while_loops_are_looked_for(walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same when one begins and when its result is taken; what is found not to move leaves it in between."""
    begun, calls = list[bytes](), list[str]()

    def state(m: SlamMap) -> bytes:
        poses = b"".join(k.S_world_keyframe.matrix().tobytes() for k in m.keyframes)
        return poses + b"".join(seen.ids.tobytes() for seen in m.observed) + m.landmarks.rel_sigma[:].tobytes()

    start, wait = LoopSearch.start, LoopSearch.wait

    def started(self: LoopSearch, k: int) -> None:
        start(self, k)
        begun.append(state(slam.map))

    def waited(self: LoopSearch) -> list[Meeting]:
        if self.is_under_way:
            assert state(slam.map) == begun[-1]
            calls.append("taken")
        return wait(self)

    def see(self: StaticWatch, view: View, may_change_map: bool) -> None:
        assert may_change_map == (not slam.loops.search.is_under_way)

    monkeypatch.setattr(LoopSearch, "start", started)
    monkeypatch.setattr(LoopSearch, "wait", waited)
    monkeypatch.setattr(StaticWatch, "see", see)
    monkeypatch.setattr(StaticWatch, "forget", lambda self: calls.append("forgotten"))
    monkeypatch.setattr(LoopFinder, "may_find", lambda self, k: True)
    slam = Slam(CAMERA)
    for frame in frames_of(walk.images):
        slam.process(frame)
    slam.finish()
    n = len(begun)
    assert n > 2
    assert calls == ["forgotten", "taken"] * n


def test_a_covariance_comes_with_every_pose(walked) -> None:
    for f in walked[0].map.frames:
        assert f.covariance is not None
        assert np.linalg.eigvalsh(f.covariance).min() > 0
        assert 0 < f.inlier_ratio <= 1


def blackout(walk, first: int = 26, n: int = 3) -> tuple[list[Image], Array]:
    """The walk, darkness, and then the same place again, walked backwards."""
    back = list(range(first - 1, first - 6, -1))
    images = walk.images[:first] + [np.zeros_like(walk.images[0])] * n + [walk.images[i] for i in back]
    truth = np.concatenate([walk.T_world_cam[:first], np.tile(np.eye(4), (n, 1, 1)), walk.T_world_cam[back]])
    return images, truth


def phases(slam: Slam) -> list[str]:
    return [str(t.after) for t in slam.states.transitions]


def test_lost_in_the_dark_and_found_again(walk) -> None:
    images, truth = blackout(walk, n=8)
    slam, said = run(images)
    s = statuses(slam)
    assert [e.status for e in said[26:30]] == [Status.UNSURE] * 4
    assert s[26:34] == [Status.LOST] * 8
    assert all(f.T_ref_cam is None for f in slam.map.frames[26:34])
    assert s[34] is Status.RELOCALIZED
    assert s[35:] == [Status.TRACKED] * 4
    assert slam.n_losses == 1
    assert slam.n_components == 1
    assert phases(slam) == ["NEW_COMPONENT", "UNSURE", "LOST", "RELOCALIZED"]
    back = slam.states.transitions[-1]
    assert (back.before, back.frame_id) == ("LOST", 34)
    assert back.lost_s == pytest.approx(9 / 30)
    assert slam.states.lost_s == pytest.approx(9 / 30)
    assert 0.5 < back.trust <= 1.0
    relative, angle, _ = aligned(slam, truth)
    assert relative < 0.005
    assert angle < 0.5


def test_a_moment_of_darkness_is_bridged(walk) -> None:
    images, truth = blackout(walk, n=3)
    slam, said = run(images)
    assert [e.status for e in said[26:29]] == [Status.UNSURE] * 3
    assert statuses(slam)[26:29] == [Status.LOST] * 3
    assert statuses(slam)[29:] == [Status.TRACKED] * 5
    assert slam.n_losses == 0
    assert phases(slam) == ["NEW_COMPONENT", "UNSURE", "TRACKED"]
    assert slam.states.transitions[-1].lost_s == pytest.approx(4 / 30)
    relative, angle, _ = aligned(slam, truth)
    assert relative < 0.005
    assert angle < 0.5


def test_a_jump_within_the_map_is_no_loss_of_the_map(walk) -> None:
    order = [*range(32), *range(4, 9)]
    slam, said = run([walk.images[i] for i in order])
    assert all(e.T_ref_cam is not None for e in said[32:])
    assert slam.n_components == 1
    _, _, S = aligned(slam, walk.T_world_cam[order])
    for i in range(32, 37):
        T, truth = slam.map.pose_of(slam.map.frames[i]), walk.T_world_cam[order[i]]
        assert np.linalg.norm(S.apply(T[:3, 3]) - truth[:3, 3]) < 0.03
        assert se3.angle_deg((S.R @ T[:3, :3]).T @ truth[:3, :3]) < 1.5


def test_a_cut_to_another_place_is_noticed_at_once(walk) -> None:
    images = walk.images[:26] + [unrelated(i) for i in range(6)]
    slam, said = run(images)
    assert all(e.T_ref_cam is None for e in said[26:])
    assert said[-1].status is Status.LOST
    assert statuses(slam)[26:] == [Status.LOST] * 6
    assert slam.n_losses == 1
    relative, _, _ = aligned(slam, walk.T_world_cam)
    assert relative < 0.005


def test_another_place_becomes_another_component(walk) -> None:
    """After the cut the walk goes on in a mirrored world: a new component, whose poses are not mixed with the first."""
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in walk.images]
    slam, said = run(walk.images[:26] + mirrored)
    f = slam.map.frames
    assert all(e.T_ref_cam is None for e in said[26:32])
    assert slam.n_components == 2
    assert {x.component_id for x in f[:26]} == {0}
    assert {x.component_id for x in f[26:] if x.T_ref_cam is not None} == {1}
    assert f[-1].status is Status.TRACKED
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    truth = np.concatenate([walk.T_world_cam[:26], mirror @ walk.T_world_cam @ mirror])
    for component in (0, 1):
        relative, angle, _ = aligned(slam, truth, component)
        assert relative < 0.01
        assert angle < 1.0


def test_no_new_component_before_patience_is_over(walk) -> None:
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in walk.images]
    slam, said = run(walk.images[:22] + mirrored, replace(SlamConfig(), patience=20))
    begun = [e.frame_id for e in said[22:] if e.T_ref_cam is not None]
    assert slam.n_components == 2
    assert min(begun) >= 22 + 20
    assert all(f.component_id == 1 for f in slam.map.frames[22:] if f.T_ref_cam is not None)


def test_a_turn_in_place_keeps_its_rotation_and_invents_no_translation() -> None:
    planes = room()
    truth = np.stack([pose((0, 1.5 * i - 12, 0.2 * i)) for i in range(16)])
    slam, _ = run([render(planes, CAMERA, T)[0] for T in truth])
    found = slam.map.trajectory()
    assert len(found) >= 15
    turned = found.T_world_cam[:, :3, :3]
    for T, i in zip(turned, found.frame_ids):
        relative = truth[found.frame_ids[0], :3, :3].T @ truth[i, :3, :3]
        assert se3.angle_deg((turned[0].T @ T).T @ relative) < 0.02 * 23 + 0.1
    # one unit is the guessed depth of the scene
    assert np.linalg.norm(found.T_world_cam[:, :3, 3] - found.T_world_cam[0, :3, 3], axis=1).max() < 0.02
    assert any("turned" in note for note in slam.notes)


def test_a_still_camera_stays_where_it_is(walk) -> None:
    rng = np.random.default_rng(0)
    image = walk.images[0].astype(np.float64)
    noisy = [np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    slam, _ = run(noisy)
    found = slam.map.trajectory()
    assert np.linalg.norm(found.T_world_cam[:, :3, 3], axis=1).max(initial=0.0) < 0.02
    assert all(se3.angle_deg(T[:3, :3]) < 0.1 for T in found.T_world_cam)


def test_the_same_image_again_and_again_is_no_error(walk) -> None:
    slam, _ = run([walk.images[0]] * 5)
    found = slam.map.trajectory()
    assert np.abs(found.T_world_cam - np.eye(4)).max(initial=0.0) < 1e-3


@pytest.mark.parametrize("value", [0, 255])
def test_images_without_content_give_no_pose(value: int) -> None:
    slam, said = run([np.full((240, 320, 3), value, np.uint8)] * 4)
    assert all(e.T_ref_cam is None for e in said)
    assert len(slam.map.trajectory()) == 0


def test_a_single_frame_gives_no_pose(walk) -> None:
    slam, said = run(walk.images[:1])
    assert said[0].status is Status.INITIALIZING
    assert len(slam.map.trajectory()) == 0


def test_a_lost_camera_is_looked_for_outside_of_what_is_ignored_too() -> None:
    ignored = np.zeros((CAMERA.height, CAMERA.width), bool)
    ignored[:40] = True
    slam = Slam(CAMERA, ignored=ignored)
    np.testing.assert_array_equal(slam.tracker.mask.given, ignored.repeat(2, 0).repeat(2, 1))  # as the images are
    assert slam.relocalizer.mask is slam.tracker.mask, "what is found never to move counts there as well"
