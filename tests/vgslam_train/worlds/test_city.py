"""The city: closed all round, the same for a seed, and the same picture from the part of it that may be seen."""

import numpy as np
import pytest

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.city import NEAR_M, City, CityPlan, city
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import look
from vgslam_train.worlds.world import render

CAMERA = Camera.from_fov(96, 72, 80.0)
PLAN = CityPlan((4, 4))


def build(seed: int) -> City:
    return city(seed, PLAN, TextureBank(seed, 32), variants=2)


@pytest.fixture(scope="module")
def town() -> City:
    return build(3)


def views() -> np.ndarray:
    """In mid-street, before a crossing, in one, in a corner of the city, and looking across."""
    spots = [(20.0, -1.8), (66.0, -1.8), (79.0, 1.0), (81.8, 72.0), (160.0, 138.0), (0.0, 0.0), (241.0, 208.0)]
    xy = np.repeat(np.array(spots), 4, axis=0)
    yaw = np.tile(np.radians([3.0, 80.0, 176.0, 250.0]), len(spots))
    flat = np.zeros(len(xy))
    return look(np.column_stack([xy, flat + 1.6]), yaw, flat, flat)


def test_what_is_left_out_is_not_seen(town: City) -> None:
    for T in views():
        part = town.part(T[None, :2, 3])
        assert len(part.planes.center) < 0.75 * len(town.world.planes.center)
        some, everything = (render(w, T[None], CAMERA) for w in (part, town.world))
        np.testing.assert_array_equal(some.images_uint8().numpy(), everything.images_uint8().numpy())
        np.testing.assert_array_equal(some.depth.numpy(), everything.depth.numpy())


def test_what_a_view_needs_does_not_grow_with_the_city(town: City) -> None:
    """In a city four times as large, a street is twice as long, and what is near is the same."""
    large = city(3, CityPlan((7, 7)), TextureBank(3, 32), variants=2)
    at = np.array([[120.0, 70.0]])
    more = len(large.part(at).planes.center) / len(town.part(at).planes.center)
    assert len(large.world.planes.center) > 3 * len(town.world.planes.center)
    assert more < 2.0


def test_near_surfaces_are_kept(town: City) -> None:
    at = np.array([[30.0, 0.0]])
    near = np.hypot(*(town.centre - at).T) < NEAR_M
    assert near.sum() > 100
    assert town.seen_from(at)[near].all()


def test_there_is_no_hole_in_the_city(town: City) -> None:
    """Every ray that does not rise meets the ground or a house."""
    depth = render(town.world, views(), CAMERA).depth.numpy()
    below = depth[:, CAMERA.height // 2 + 1 :]
    assert np.isfinite(below).all()
    assert below.min() > 0.5


def test_a_seed_gives_one_city(town: City) -> None:
    T = views()[:2]
    image, again, other = (render(c.world, T, CAMERA).images.numpy() for c in (town, build(3), build(4)))
    np.testing.assert_array_equal(image, again)
    assert np.abs(image - other).mean() > 0.02
