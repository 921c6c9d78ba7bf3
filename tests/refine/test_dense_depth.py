"""Dense depth of a small map's keyframes measured again: whom it asks, and what of it the map takes over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room

from vgslam.frontend.image_mask import ImageMask
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import Watch
from vgslam.refine.dense_depth import AREA_PX, measure_depth_again
from vgslam.types import Array, Float32, Image, Keyframe

SCALE = 2.5  # world units per unit of a keyframe
COARSE = CAMERA.resized(160, 120)
POSES = [pose((0, 0.4 * i, 0), (0.1 * i - 0.6, 0.02 * i, 0.01 * i)) for i in range(13)]
MIDDLE = 6
NONE = ImageMask(CAMERA.width, CAMERA.height)


@cache
def shot(i: int) -> tuple[Image, Float32]:
    """Image i, and the true depth of its coarse depth map."""
    return render(room(), CAMERA, POSES[i])[0], render(room(), COARSE, POSES[i])[1]


def a_map(off: float = 0.08, sure: float = 0.7) -> SlamMap:
    """Keyframes along a wall; the middle one has dense depth that is off by a share, and as sure."""
    m = SlamMap()
    for i, T in enumerate(POSES):
        image, truth = shot(i)
        k = Keyframe(i, i, i / 10, image, CAMERA, Sim3.from_T(T, SCALE), 0)
        if i == MIDDLE:
            k.depth = (truth * np.float32((1 + off) / SCALE)).astype(np.float32)
            k.confidence, k.depth_camera = np.full(truth.shape, sure, np.float32), COARSE
        m.add_keyframe(k, np.zeros(0, np.int64), np.zeros((0, 2)))
    return m


def again(m: SlamMap, mask: ImageMask = NONE, watch: Watch | None = None, keeps_others: bool = False) -> int:
    return measure_depth_again(m, np.arange(len(m.keyframes)), mask, watch or Watch(), keeps_others)


def off_by(k: Keyframe, where: Array) -> float:
    """Median relative error of a keyframe's depth, in its own units."""
    assert k.depth is not None
    assert k.depth_camera is not None
    truth = render(room(), k.depth_camera, POSES[k.id])[1] / SCALE
    where = where & (truth > 0)
    return float(np.median(np.abs(k.depth[where] / truth[where] - 1.0)))


def test_depth_is_finer_and_larger_and_in_the_keyframes_units() -> None:
    m = a_map()
    assert again(m) == 1
    k = m.keyframes[MIDDLE]
    assert k.depth is not None
    assert k.confidence is not None
    assert k.depth.shape == k.confidence.shape == (180, 240)
    assert k.depth.size <= AREA_PX
    assert k.depth_camera == CAMERA.resized(240, 180)
    sure = k.confidence > 0.5
    assert sure.mean() > 0.6
    assert off_by(k, sure) < 0.008


def test_keyframes_that_are_not_asked_for_or_have_none_stay_as_they_are() -> None:
    m = a_map()
    before = m.keyframes[MIDDLE].depth
    others = np.delete(np.arange(len(m.keyframes)), MIDDLE)
    assert measure_depth_again(m, others, NONE, Watch()) == 0
    assert np.array_equal(m.keyframes[MIDDLE].depth, before)
    assert all(k.depth is None for k in m.keyframes if k.id != MIDDLE)


def test_who_says_stop_is_heard_before_anything_changes() -> None:
    m, asked = a_map(), []

    @contextmanager
    def block() -> Iterator[None]:
        asked.append("begins")
        yield
        asked.append("ends")

    before = m.keyframes[MIDDLE].depth
    assert again(m, watch=Watch(should_stop=lambda: asked == ["begins"], block=block)) == 0
    assert asked == ["begins", "ends"]
    assert np.array_equal(m.keyframes[MIDDLE].depth, before)


@pytest.mark.parametrize("keeps_others", [True, False])
def test_what_is_not_confirmed_is_as_sure_as_it_was_or_not_sure(keeps_others: bool) -> None:
    m = a_map(off=0.8)  # so far off that nothing is found near it, but by chance
    again(m, keeps_others=keeps_others)
    k = m.keyframes[MIDDLE]
    assert k.confidence is not None
    values, counts = np.unique(k.confidence, return_counts=True)
    usual = float(values[counts.argmax()])
    assert usual == pytest.approx(0.7 if keeps_others else 0.0)
    assert counts.max() > 0.5 * k.confidence.size
    assert off_by(k, k.confidence == np.float32(usual)) == pytest.approx(0.8, abs=0.02)


def test_nothing_is_sure_where_the_image_carries_nothing() -> None:
    ignored = np.zeros((CAMERA.height, CAMERA.width), bool)
    ignored[120:] = True
    m = a_map()
    again(m, ImageMask(CAMERA.width, CAMERA.height, ignored))
    confidence = m.keyframes[MIDDLE].confidence
    assert confidence is not None
    assert not confidence[91:].any()
    assert (confidence[:89] > 0.5).mean() > 0.5


def set_apart(m: SlamMap) -> None:
    for k in m.keyframes:
        k.component_id = int(k.id != MIDDLE)


def set_aside(m: SlamMap) -> None:
    for i, k in enumerate(m.keyframes):
        if i != MIDDLE:
            m.set_pose(i, Sim3(k.S_world_keyframe.R, k.S_world_keyframe.t + np.array([50.0, 0, 0]), SCALE))


def turn_away(m: SlamMap) -> None:
    for i, k in enumerate(m.keyframes):
        if i != MIDDLE:
            T = k.S_world_keyframe.pose @ pose((0, 40, 0))
            m.set_pose(i, Sim3.from_T(T, SCALE))


def change_camera(m: SlamMap) -> None:
    for k in m.keyframes:
        if k.id != MIDDLE:
            k.camera = replace(CAMERA, fx=CAMERA.fx * 1.2)


def leave_one(m: SlamMap) -> None:
    set_apart(m)
    m.keyframes[MIDDLE + 2].component_id = m.keyframes[MIDDLE].component_id


@pytest.mark.parametrize("change", [set_apart, set_aside, turn_away, change_camera, leave_one])
def test_who_cannot_know_is_not_asked(change: Callable[[SlamMap], None]) -> None:
    """Keyframes of another component, far away, that look elsewhere, or of another camera. Without two who can, depth
    is as sure as it was."""
    m = a_map()
    change(m)
    before = m.keyframes[MIDDLE].depth
    assert again(m) == 0
    k = m.keyframes[MIDDLE]
    assert k.confidence is not None
    assert np.array_equal(k.depth, before)
    assert (k.confidence == np.float32(0.7)).all()
