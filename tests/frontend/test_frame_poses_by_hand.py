"""The last word on frames between keyframes a metre apart, worked out by hand, from both sides of each limit."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend.frame_poses import FrameFit, FramePoses, Segment
from vgslam.frontend.tracker import TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, PoseEstimate, Status

FINE = np.diag([1e-8] * 3 + [1e-4] * 3)
"""A covariance: positions to a centimetre."""


def drive(n: int = 3) -> SlamMap:
    """n keyframes 1 apart along x, at frames 0, 10, 20, and the frames between them, which moved evenly."""
    m = hand_map([at(x=float(k)) for k in range(n)])
    m.frames = type(m.frames)()
    for i in range(10 * n - 9):
        k, rest = divmod(i, 10)
        T = at(x=0.1 * rest)
        m.frames.append(PoseEstimate(i, 0.1 * i, Status.TRACKED, k, T, 1e-6 * np.eye(6), 50, 1.0, 0))
    return m


def poses_of(m: SlamMap, is_kept: bool = True) -> FramePoses:
    """A run that made all of it; its keyframes are linked as they were tracked."""
    poses = FramePoses(SlamMap(), CAMERA, TrackerConfig(), is_kept=is_kept)
    poses.map = m
    for k in range(1, len(m.keyframes)):
        poses.link(k, PoseEstimate(10 * k, float(k), Status.TRACKED, k - 1, at(x=1.0), None, 50, 1.0, 0))
    return poses


def test_only_a_pose_relative_to_the_keyframe_before_is_a_link() -> None:
    poses = poses_of(drive(4))
    poses._links.clear()
    poses.link(3, PoseEstimate(30, 3.0, Status.LOST))
    poses.link(3, PoseEstimate(30, 3.0, Status.TRACKED, 1, at(x=1.0), None, 50, 1.0, 0))
    assert poses._links == {}
    poses.link(3, PoseEstimate(30, 3.0, Status.TRACKED, 2, at(x=5.0), None, 50, 1.0, 0))
    assert poses._links[3].t.tolist() == [5.0, 0.0, 0.0]


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_run_that_leaves_frames_as_they_are_keeps_nothing(is_kept: bool) -> None:
    poses = poses_of(drive(), is_kept)
    poses.saw([(4, np.array([0, 1]), np.zeros((2, 2)))])
    assert [b.frame_ids.tolist() for b in poses.seen.blocks()] == ([[4]] if is_kept else [])


def test_pixels_are_of_the_camera_that_was_in_use_after_the_newest_keyframe() -> None:
    poses = poses_of(drive(2))
    other = Camera(120.0, 120.0, 99.5, 79.5, 200, 160)
    poses.take_camera(other)
    assert [poses._recorded_by(i).fx for i in (0, 9, 10, 11, 30)] == [100.0, 100.0, 100.0, 120.0, 120.0]


def test_a_map_of_others_is_taken_over_with_links_within_its_components() -> None:
    m = drive(4)
    m.keyframes[2].component_id = m.keyframes[3].component_id = 1
    poses = FramePoses(m, CAMERA, TrackerConfig())
    poses.take_over()
    assert (poses._first_row, poses._first_keyframe) == (0, 0)
    assert {k: S.t.tolist() for k, S in poses._links.items()} == {1: [1.0, 0.0, 0.0], 3: [1.0, 0.0, 0.0]}
    poses = poses_of(m)  # linked as they were tracked, and parted since
    assert [poses._segment(k, np.array([10 * k])).has_second for k in range(4)] == [True, False, True, False]


@pytest.mark.parametrize(("n_measured", "n_guessed", "is_known"), [(30, 30, True), (29, 0, False), (30, 31, False)])
def test_thirty_measured_landmarks_and_half_of_all_give_a_depth(
    n_measured: int, n_guessed: int, is_known: bool
) -> None:
    m = drive()
    ids = add_landmarks(m, 0, grid(10, 10, 5.0))
    m.landmarks.is_triangulated[ids[n_measured:]] = False
    poses = poses_of(m)
    seen = ids[: n_measured + n_guessed]
    poses.saw([(3, seen, np.zeros((len(seen), 2)))])
    assert poses._see_depth() == ({3} if is_known else set())


@pytest.mark.parametrize(("off", "is_near"), [(0.0540, True), (0.0555, False)])
def test_a_keyframe_is_thirty_in_squared_deviations_from_where_its_observations_put_it_at_most(
    off: float, is_near: bool
) -> None:
    """Deviations of a centimetre: 5.40^2 is 29.2, and 5.55^2 is 30.8."""
    poses = poses_of(drive())
    poses._fits[10] = FrameFit(at(x=1.0, y=off), FINE)
    assert (poses._offset(1) is not None) is is_near
    assert poses._offset(2) is None  # its observations say nothing


def follow(poses: FramePoses, segment: Segment, where: dict[int, Array]) -> int:
    """Frames follow the landmarks, which put them and the keyframes there."""
    poses._fits = {i: FrameFit(T, FINE) for i, T in where.items()}
    return poses._follow_landmarks(segment)


def test_what_observations_get_wrong_at_both_keyframes_is_taken_out_over_time() -> None:
    """The second keyframe is 0.04 above (-y) where its observations put it, the first as they say: a frame midway is
    0.02 above its own, one at a quarter 0.01. How it came about is not known: at a share x of the correction d, whose
    whole is d / x, the variance is x (1 - x) (d / x)^2, here a quarter and three sixteenths of 0.04^2."""
    m = drive(2)
    poses = poses_of(m)
    segment = poses._segment(0, np.array([5]))
    assert segment.share.tolist() == [0.5]
    quarter = replace(segment, rows=np.array([5, 2]), share=np.array([0.5, 0.25]))
    where = {0: at(), 10: at(x=1.0, y=0.04), 5: at(x=0.5, y=0.3), 2: at(x=0.25)}
    assert follow(poses, quarter, where) == 2
    for row, y, share in ((5, 0.28, 0.25), (2, -0.01, 3 / 16)):
        e = m.frames[row]
        T, C = m.pose_of(e), m.covariance_of(e)
        assert T is not None
        assert C is not None
        assert T[1, 3] == pytest.approx(y)
        assert C[4, 4] == pytest.approx(1e-4 + share * 0.04**2)
        assert C[3, 3] == pytest.approx(1e-4)
        assert (e.ref_id, e.rotation_only) == (0, False)


def test_after_the_last_keyframe_its_own_offset_counts_whole() -> None:
    m = drive(2)
    m.frames.append(PoseEstimate(11, 1.1, Status.TRACKED, 1, at(x=0.1), None, 50, 1.0, 0))
    poses = poses_of(m)
    segment = poses._segment(1, np.array([11]))
    assert not segment.has_second
    assert follow(poses, segment, {10: at(x=1.0, y=0.04), 11: at(x=1.1, y=0.2)}) == 1
    T = m.pose_of(m.frames[11])
    assert T is not None
    assert T[1, 3] == pytest.approx(0.16)
    assert m.frames[11].ref_id == 1


@pytest.mark.parametrize(("share", "ref"), [(0.5, 0), (0.6, 1), (0.9, 1)])
def test_a_frame_hangs_on_the_keyframe_that_is_nearer_in_time(share: float, ref: int) -> None:
    m = drive(2)
    poses = poses_of(m)
    segment = Segment(0, True, np.array([5]), np.array([share]))
    assert follow(poses, segment, {0: at(), 10: at(x=1.0), 5: at(x=0.5)}) == 1
    assert m.frames[5].ref_id == ref


@pytest.mark.parametrize(
    ("n_right", "n_wrong", "is_fitted"), [(15, 0, True), (14, 0, False), (20, 29, True), (20, 31, False)]
)
def test_fifteen_observations_and_two_fifths_of_all_have_to_agree(n_right: int, n_wrong: int, is_fitted: bool) -> None:
    """Others are wrong by thirty pixels, each its own way."""
    m = drive(2)
    ids = add_landmarks(m, 0, grid(8, 8, 5.0, 0.4))[: n_right + n_wrong]
    T = at(x=0.5)
    pixels = CAMERA.project(se3.transform(se3.inverse(T), m.landmarks_world(ids)))
    turn = 2.4 * np.arange(n_wrong)
    pixels[n_right:] += 30.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    poses = poses_of(m)
    poses.saw([(5, ids, pixels)])
    poses._fit({5})
    assert (5 in poses._fits) is is_fitted
    if is_fitted:
        np.testing.assert_allclose(poses._fits[5].T_world_cam, T, atol=0.02)


def test_landmarks_of_another_component_say_nothing_of_a_pose() -> None:
    m = drive(3)
    m.keyframes[2].component_id = 1
    mine = add_landmarks(m, 0, grid(5, 4, 5.0, 0.4))
    other = add_landmarks(m, 2, grid(8, 8, 5.0, 0.4) + np.array([2.0, 0.0, 0.0]))
    T = at(x=0.5)
    seen = np.concatenate([mine, other])
    pixels = CAMERA.project(se3.transform(se3.inverse(T), m.landmarks_world(seen)))
    pixels[len(mine) :] += 3.0  # they agree among themselves
    poses = poses_of(m)
    poses.saw([(5, seen, pixels)])
    poses._fit({5})
    np.testing.assert_allclose(poses._fits[5].T_world_cam, T, atol=1e-5)


def test_what_was_recorded_before_distortion_was_found_is_straightened() -> None:
    """A corner is at (0.9, 0) focal lengths of a barrel with k1 = -0.1: it was seen at 0.9 (1 - 0.1 0.81) = 0.8271."""
    m = drive(2)
    now = replace(CAMERA, removed_k1=-0.1)
    for keyframe in m.keyframes:
        keyframe.camera = now
    poses = poses_of(m)
    straight, bent = np.array([[99.5 + 90.0, 79.5]]), np.array([[99.5 + 82.71, 79.5]])
    np.testing.assert_allclose(poses._pixels_now([now], [CAMERA], np.array([1]), bent), straight, atol=1e-6)
    np.testing.assert_allclose(poses._recorded_pixels(1, straight), bent, atol=1e-6)
    poses.take_camera(now)
    np.testing.assert_allclose(poses._pixels_now([now], [poses._recorded_by(11)], np.array([1]), bent), bent)
