"""Coarse depth of rendered planes, measured again: the truth is known at every pixel."""

from functools import cache

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, plane, pose, render, room

from vgslam.multiview.depth_refinement import FineDepth, PosedImage, refine_depth
from vgslam.types import Array, Float32

SMALL = CAMERA.resized(240, 180)
REFERENCE = pose()
AROUND = (
    pose((0, 1, 0), (-0.4, 0.1, 0)), pose((0, -1, 0.5), (0.4, -0.1, 0.1)), pose((0.5, 0, 0), (0.1, 0.5, 0)),
    pose((0, 0, 0), (-0.3, -0.3, 0)),
)  # fmt: skip


@cache
def seen(scene: str, of: int = -1) -> tuple[PosedImage, Float32]:
    """The view from the reference (-1) or from around it, and the depth there."""
    T = REFERENCE if of < 0 else AROUND[of]
    planes = [plane((0, 0, 4), 8.0, seed=1, size=2048, yaw_deg=35)] if scene == "slanted" else room()
    image = cv2.cvtColor(render(planes, CAMERA, T)[0], cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(image, (SMALL.width, SMALL.height), interpolation=cv2.INTER_AREA)
    return PosedImage(gray.astype(np.float32), T), render(planes, SMALL, T)[1]


def wavy(shape: tuple[int, int], share: float) -> Float32:
    """Factors (h,w) that swing smoothly by a share to either side of 1."""
    v, u = np.indices(shape)
    return (1.0 + share * np.sin(u / 17.0) * np.cos(v / 23.0)).astype(np.float32)


def refined(scene: str, off: float = 0.1, views: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[FineDepth, Float32]:
    """What is measured from a coarse depth that is off by a share at most, and the truth."""
    reference, truth = seen(scene)
    return refine_depth(reference, SMALL, truth * wavy(truth.shape, off), [seen(scene, i)[0] for i in views]), truth


def errors(found: FineDepth, truth: Float32, where: Array) -> Array:
    return np.abs(found.depth[where] / truth[where] - 1.0)


@pytest.mark.parametrize(("scene", "most"), [("slanted", 0.006), ("room", 0.006)])
def test_what_is_sure_is_an_order_nearer_than_what_was_known(scene: str, most: float) -> None:
    found, truth = refined(scene)
    sure = (found.confidence > 0.5) & (truth > 0)
    assert sure.mean() > 0.6
    assert np.median(errors(found, truth, sure)) < most
    assert (errors(found, truth, sure) < 0.03).mean() > 0.9
    assert np.median(np.abs(wavy(truth.shape, 0.1) - 1.0)) > 5 * most


def test_fine_depth_has_no_bias() -> None:
    """Half a step of the sweep is 2 percent: reading off the nearest one would show in the scatter, a shift in the
    mean."""
    found, truth = refined("slanted")
    signed = (found.depth / truth - 1.0)[found.confidence > 0.5]
    assert abs(np.median(signed)) < 0.002


def test_confidence_orders_the_errors() -> None:
    found, truth = refined("room")
    known = found.is_found & (truth > 0)
    order = np.argsort(-found.confidence[known], kind="stable")
    wrong = np.abs(np.log(found.depth[known] / truth[known]))[order] > 0.02
    thirds = [float(part.mean()) for part in np.array_split(wrong, 3)]
    assert thirds[0] < 0.5 * thirds[2]


def test_units_do_not_matter() -> None:
    reference, truth = seen("room")
    others = [seen("room", i)[0] for i in range(4)]
    plain = refine_depth(reference, SMALL, truth * wavy(truth.shape, 0.1), others)

    def seven(view: PosedImage) -> PosedImage:
        T = view.T_world_cam.copy()
        T[:3, 3] *= 7.0
        return PosedImage(view.gray, T)

    scaled = refine_depth(seven(reference), SMALL, 7 * truth * wavy(truth.shape, 0.1), [seven(o) for o in others])
    same = plain.is_found & scaled.is_found
    assert (plain.is_found == scaled.is_found).mean() > 0.999
    assert np.median(np.abs(scaled.depth[same] / (7 * plain.depth[same]) - 1.0)) < 1e-5


def test_what_is_unknown_takes_its_coarse_depth_from_beside_it() -> None:
    reference, truth = seen("slanted")
    coarse = truth.copy()
    coarse[80:100, 110:130] = 0.0
    found = refine_depth(reference, SMALL, coarse, [seen("slanted", i)[0] for i in range(4)])
    hole = np.zeros(truth.shape, bool)
    hole[80:100, 110:130] = True
    assert (found.confidence[hole] > 0.5).mean() > 0.8
    assert np.median(errors(found, truth, hole & found.is_found)) < 0.006


def test_a_coarse_depth_that_is_far_off_is_not_made_sure() -> None:
    reference, truth = seen("slanted")
    found = refine_depth(reference, SMALL, truth * np.float32(1.4), [seen("slanted", i)[0] for i in range(4)])
    assert (found.confidence > 0.5).mean() < 0.1  # chance
    assert np.array_equal(found.depth[~found.is_found], truth[~found.is_found] * np.float32(1.4))


def test_one_view_alone_makes_nothing_sure() -> None:
    """The second view shows another scene: what the first says has no witness."""
    reference, truth = seen("slanted")
    liar = PosedImage(seen("room", 1)[0].gray, AROUND[1])
    found = refine_depth(reference, SMALL, truth, [seen("slanted", 0)[0], liar])
    assert (found.confidence > 0.5).mean() < 0.3  # by chance; it is four fifths with two that are right
    both = refine_depth(reference, SMALL, truth, [seen("slanted", 0)[0], seen("slanted", 1)[0]])
    assert (both.confidence > 0.5).mean() > 0.7


def test_a_surface_without_texture_is_not_sure() -> None:
    def flattened(view: PosedImage) -> PosedImage:
        gray = view.gray.copy()
        gray[60:120, 80:160] = 120.0
        return PosedImage(gray, view.T_world_cam)

    reference, truth = seen("slanted")
    found = refine_depth(flattened(reference), SMALL, truth, [flattened(seen("slanted", i)[0]) for i in range(4)])
    assert found.confidence[66:114, 90:150].max() < 0.5
    assert (refined("slanted", 0.0)[0].confidence[66:114, 90:150] > 0.5).mean() > 0.9


def test_fewer_than_two_views_leave_it_as_it_was() -> None:
    found, truth = refined("slanted", 0.1, (0,))
    assert np.array_equal(found.depth, truth * wavy(truth.shape, 0.1))
    assert not found.is_found.any()
    assert not found.confidence.any()


def test_a_view_that_looks_away_says_nothing() -> None:
    reference, truth = seen("slanted")
    away = PosedImage(seen("slanted", 0)[0].gray, pose((0, 180, 0), (-0.4, 0.1, 0)))
    found = refine_depth(reference, SMALL, truth, [away, away])
    assert not found.is_found.any()


def test_depth_that_is_nowhere_known_is_refused() -> None:
    reference, truth = seen("slanted")
    others = [seen("slanted", i)[0] for i in range(2)]
    with pytest.raises(ValueError, match="no depth is known"):
        refine_depth(reference, SMALL, np.zeros_like(truth), others)
