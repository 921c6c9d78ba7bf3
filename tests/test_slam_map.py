"""A run that goes on with the map of an earlier one."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, pose, render, room, smooth_texture

from vgslam.errors import InputError
from vgslam.geometry.sim3 import Sim3
from vgslam.localizer import Localizer
from vgslam.map.slam_map import SlamMap
from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.ros2 import ros_covariance
from vgslam.slam import Slam
from vgslam.types import Array, Image, Status


def walk_pose(i: float) -> Array:
    return pose((1.5 * np.sin(i / 5), -3 * np.sin(i / 8), 0), (0.09 * i, 0.12 * np.sin(i / 3), 0.02 * i))


@pytest.fixture(scope="module")
def images() -> list[Image]:
    planes = room()
    return [render(planes, CAMERA, walk_pose(i))[0] for i in range(26)]


@pytest.fixture(scope="module")
def mapped(images: list[Image]) -> SlamMap:
    slam = Slam(CAMERA)
    for frame in frames_of(images):
        slam.process(frame)
    slam.finish()
    return slam.map


def elsewhere(i: int) -> Image:
    return np.repeat(smooth_texture(320, seed=80 + i)[:240, :, None], 3, axis=2)


def go_on(slam_map: SlamMap, images: list[Image], is_localizing: bool) -> Slam:
    slam = Slam(CAMERA, slam_map=copy.deepcopy(slam_map), is_localizing=is_localizing)
    for frame in frames_of(images, slam.first_frame_id):
        slam.process(frame)
    slam.finish()
    return slam


def test_localizing_finds_every_frame_and_leaves_the_map_alone(mapped: SlamMap, images: list[Image]) -> None:
    slam = go_on(mapped, images[::-1], is_localizing=True)
    new = slam.map.frames[len(images) :]
    assert new[0].status is Status.RELOCALIZED
    assert all(f.status is Status.TRACKED for f in new[1:])
    assert [f.frame_id for f in new] == list(range(26, 52))
    for i, f in enumerate(new):
        before = mapped.pose_of(mapped.frames[25 - i])
        np.testing.assert_allclose(slam.map.pose_of(f), before, atol=0.02)
    assert len(slam.map.keyframes) == len(mapped.keyframes)
    assert len(slam.map.landmarks) == len(mapped.landmarks)
    assert slam.map.edges.keys() == mapped.edges.keys()
    np.testing.assert_array_equal(slam.map.landmarks.xyz_host, mapped.landmarks.xyz_host)
    np.testing.assert_array_equal(slam.map.keyframe_trajectory().T_world_cam, mapped.keyframe_trajectory().T_world_cam)
    assert slam.n_losses == 0


def test_localizing_outside_the_map_is_lost(mapped: SlamMap) -> None:
    slam = go_on(mapped, [elsewhere(i) for i in range(9)], is_localizing=True)
    assert [f.status for f in slam.map.frames[26:]] == [Status.LOST] * 9
    assert slam.n_components == 1


def test_localizing_loses_and_finds_itself_again(mapped: SlamMap, images: list[Image]) -> None:
    slam = go_on(mapped, [*images[:3], elsewhere(0), elsewhere(1), *images[10:13]], is_localizing=True)
    got = [f.status for f in slam.map.frames[26:]]
    assert got[3:5] == [Status.LOST] * 2
    assert got[5:] == [Status.RELOCALIZED, Status.TRACKED, Status.TRACKED]
    assert slam.n_losses == 1


def test_a_map_is_continued_in_its_own_frame(mapped: SlamMap, images: list[Image]) -> None:
    planes = room()
    more = [render(planes, CAMERA, walk_pose(i))[0] for i in range(26, 36)]
    slam = go_on(mapped, images[20:] + more, is_localizing=False)
    assert slam.n_components == 1
    assert {f.status for f in slam.map.frames[27:]} == {Status.TRACKED}
    assert len(slam.map.keyframes) > len(mapped.keyframes)
    T = [slam.map.pose_of(slam.map.frames[i]) for i in (0, 25, 26 + 6 + 9)]
    truth = [walk_pose(i) for i in (0, 25, 35)]
    scale = np.linalg.norm(truth[1][:3, 3]) / np.linalg.norm(T[1][:3, 3])
    np.testing.assert_allclose(T[2][:3, 3] * scale, truth[2][:3, 3], atol=0.1)


def test_another_place_becomes_another_component_of_the_loaded_map(mapped: SlamMap, images: list[Image]) -> None:
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    slam = Slam(CAMERA, slam_map=copy.deepcopy(mapped))
    said = [slam.process(frame) for frame in frames_of(mirrored, 26)]
    assert slam.n_components == 2
    assert {f.component_id for f in slam.map.frames[26:] if f.T_ref_cam is not None} == {1}
    assert all(f.T_ref_cam is None for f in said[:5])


def test_an_empty_map_cannot_be_localized_in() -> None:
    with pytest.raises(InputError, match="empty"):
        Slam(CAMERA, slam_map=SlamMap(), is_localizing=True)


def test_frame_ids_out_of_turn_are_refused(mapped: SlamMap, images: list[Image]) -> None:
    slam = Slam(CAMERA, slam_map=copy.deepcopy(mapped))
    with pytest.raises(ValueError, match="26"):
        slam.process(frames_of(images)[0])


def in_units(slam_map: SlamMap, unit: float, world: float) -> SlamMap:
    """The same map with keyframes whose unit is `unit` times as long, in a world of `world` times as many units."""
    m = copy.deepcopy(slam_map)
    for k in m.keyframes:
        S = k.S_world_keyframe
        m.set_pose(k.id, Sim3(S.R, world * S.t, world * unit * S.s))
    m.landmarks.xyz_host[:] /= unit
    for key, edge in m.edges.items():
        S = edge.S_a_b
        sigmas = edge.sigmas / np.array([1.0] * 3 + [unit] * 3 + [1.0])
        m.edges[key] = replace(edge, S_a_b=Sim3(S.R, S.t / unit, S.s), sigmas=sigmas)
    for i, f in enumerate(m.frames):
        if f.T_ref_cam is not None:
            T = f.T_ref_cam.copy()
            T[:3, 3] /= unit
            m.frames[i] = replace(f, T_ref_cam=T)
    return m


def lengths_times(factor: float) -> np.ndarray:
    """D (6,6) such that D C D is the covariance C with lengths of `factor` times as many units."""
    return np.diag([1.0] * 3 + [factor] * 3)


@pytest.mark.parametrize("is_localizing", [True, False])
def test_a_covariance_has_the_units_of_the_pose_beside_it(
    mapped: SlamMap, images: list[Image], is_localizing: bool
) -> None:
    """In keyframe units as it is kept, in map units as it is handed out, whatever the scale of the keyframes."""
    shown = images[::-1][:12]
    plain, coarse, large = (
        go_on(in_units(mapped, unit, world), shown, is_localizing) for unit, world in ((1, 1), (2, 1), (1, 2))
    )
    n = 0
    for a, b, c in zip(plain.map.frames[26:], coarse.map.frames[26:], large.map.frames[26:], strict=True):
        assert a.status is b.status is c.status
        if a.covariance is None or np.allclose(a.covariance, 1e-6 * np.eye(6)):
            continue
        A, B, C = (FramePose.of(f, slam.map) for f, slam in ((a, plain), (b, coarse), (c, large)))
        np.testing.assert_allclose(A.position, B.position, atol=1e-4)
        np.testing.assert_allclose(C.position, 2 * A.position, atol=1e-4)
        s, t = (slam.map.keyframes[f.ref_id].S_world_keyframe.s for f, slam in ((b, coarse), (c, large)))
        for told, frame, world, unit in ((B, b, 1.0, s), (C, c, 2.0, t)):
            D, E = lengths_times(world), lengths_times(1.0 / unit)
            tolerance = 1e-3 * np.abs(D @ A.covariance @ D).max()
            np.testing.assert_allclose(told.covariance, D @ A.covariance @ D, atol=tolerance)
            np.testing.assert_allclose(frame.covariance, E @ told.covariance @ E, rtol=1e-9)
            ros, plain_ros = (ros_covariance(p.covariance, p.T_world_cam)[:3, :3] for p in (told, A))
            np.testing.assert_allclose(ros, world**2 * plain_ros, atol=1e-3 * np.abs(ros).max())
            assert json.loads(told.to_json())["covariance"] == pytest.approx(told.covariance, rel=1e-8)
        n += 1
    assert n >= 10


def test_the_localizer_answers_in_map_units(mapped: SlamMap, images: list[Image]) -> None:
    answers = [Localizer(in_units(mapped, *units), CAMERA).locate(images[7]) for units in ((1, 1), (2, 1), (1, 2))]
    a, b, c = (x for x in answers if x is not None)
    D = lengths_times(2.0)
    np.testing.assert_allclose(b.covariance, a.covariance, atol=1e-3 * np.abs(a.covariance).max())
    np.testing.assert_allclose(c.T_world_cam[:3, 3], 2 * a.T_world_cam[:3, 3], atol=1e-6)
    np.testing.assert_allclose(c.covariance, D @ a.covariance @ D, atol=1e-3 * np.abs(D @ a.covariance @ D).max())
