"""Maps of pieces that found different calibrations get one, and what they hold fits it."""

from dataclasses import replace

import numpy as np
import pytest
from fleet.piece_maps import CAMERA, ELSEWHERE, piece

from vgslam.fleet.pieces import common_camera, give_one_camera
from vgslam.geometry.camera import Camera
from vgslam.geometry.radial import with_radial
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Observations

K1 = 0.05


def with_camera(m: SlamMap, camera: Camera) -> SlamMap:
    for k in m.keyframes:
        k.camera = camera
    return m


def bent(m: SlamMap) -> SlamMap:
    """The same map, as a lens with K1 shows it and nobody has found out."""
    for k, (ids, pixels) in enumerate(m.observed):
        m.observed[k] = Observations.of(ids, with_radial(CAMERA, K1, pixels))
    return m


def test_a_piece_too_short_to_find_the_distortion_gets_what_others_found() -> None:
    true = piece(Sim3.identity(), range(30))
    found = replace(CAMERA, removed_k1=K1)
    short, long = bent(piece(Sim3.identity(), range(30))), with_camera(piece(ELSEWHERE, range(30, 60)), found)
    give_one_camera([short, long], CAMERA)
    assert {k.camera for m in (short, long) for k in m.keyframes} == {found}
    for k, (_, pixels) in enumerate(short.observed):
        np.testing.assert_allclose(pixels, true.observed[k].pixels, atol=1e-6)
    np.testing.assert_array_equal(long.observed[0].pixels, piece(ELSEWHERE, range(30, 60)).observed[0].pixels)


def test_the_median_of_those_that_found_something_counts() -> None:
    """Distortion is of a radius in focal lengths: at 1.1 times the focal length it is 1.21 times as much."""
    cameras = [CAMERA, replace(CAMERA, fx=1.1 * CAMERA.fx, fy=1.1 * CAMERA.fy, removed_k1=0.121), CAMERA,
               replace(CAMERA, fx=1.1 * CAMERA.fx, fy=1.1 * CAMERA.fy, removed_k1=0.121)]  # fmt: skip
    maps = [with_camera(piece(Sim3.identity(), range(6)), c) for c in cameras]
    found = common_camera(maps, CAMERA)
    assert found is not None
    assert found.fx == pytest.approx(1.1 * CAMERA.fx)
    assert found.removed_k1 == pytest.approx(0.121)
    assert common_camera(maps[:1], CAMERA) == CAMERA
    assert common_camera([SlamMap()], CAMERA) is None
    mixed = [replace(CAMERA, removed_k1=0.02), replace(CAMERA, fx=2 * CAMERA.fx, fy=2 * CAMERA.fy, removed_k1=0.08)]
    both = common_camera([with_camera(piece(Sim3.identity(), range(6)), c) for c in mixed], CAMERA)
    assert both is not None
    assert both.removed_k1 == pytest.approx(0.08), "0.02 at twice the focal length is 0.08"
