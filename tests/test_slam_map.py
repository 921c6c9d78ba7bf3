"""A run that goes on with the map of an earlier one."""

import copy

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, pose, render, room, smooth_texture

from vgslam.backend.map import SlamMap
from vgslam.errors import InputError
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
