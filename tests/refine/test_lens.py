"""The lens that a map calls for: from far off, with the distortion, with honest deviations, and where nothing tells."""

import numpy as np
import pytest
import refine_world
from refine_world import CAMERA, Errors, straight_drive, turning_walk, world

from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine import lens as module
from vgslam.refine.lens import CONTRADICTION_SIGMAS, Lens, lens_of, part
from vgslam.refine.problem import gather


def lens(m: SlamMap) -> Lens | None:
    return lens_of(m, np.arange(len(m.keyframes)))


def off(camera: Camera) -> float:
    return float(np.log(camera.fx / CAMERA.fx))


@pytest.mark.parametrize(("focal", "k1"), [(0.4, 0.0), (-0.25, 0.03), (0.3, -0.15)])
def test_a_focal_length_far_off_and_the_distortion_are_found(focal: float, k1: float) -> None:
    w = world(turning_walk(40), Errors(focal=focal, k1=k1))
    before = [k.S_world_keyframe for k in w.slam_map.keyframes]
    found = lens(w.slam_map)
    assert found is not None
    assert abs(off(found.camera)) < 0.01
    assert abs(off(found.camera)) < 3 * found.rel_sigma
    assert found.rel_sigma < 0.03
    assert found.camera.removed_k1 == pytest.approx(k1, abs=0.01)
    assert found.has_settled
    assert found.contradiction < CONTRADICTION_SIGMAS
    assert [k.S_world_keyframe for k in w.slam_map.keyframes] == before
    assert {k.camera.removed_k1 for k in w.slam_map.keyframes} == {0.0}


def test_a_lens_that_bends_lines_too_strongly_to_be_found_from_a_pinhole(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Camera.from_fov(320, 240, 70.0)
    monkeypatch.setattr(refine_world, "CAMERA", wide)
    guess = Camera.from_fov(320, 240, 62.0)
    errors = Errors(focal=guess.fx / wide.fx - 1, k1=-0.2, pixel=0.4, outliers=0.02)
    m = world(turning_walk(50), errors, n_points=900, seed=1).slam_map
    found = lens(m)
    assert found is not None
    assert found.camera.fx == pytest.approx(wide.fx, rel=0.01)
    assert found.camera.removed_k1 == pytest.approx(-0.2, abs=0.01)
    monkeypatch.setattr(module, "BARREL_K1", 0.0)
    alone = lens(m)
    assert alone is None or alone.rel_sigma > 0.05  # what the first start finds is not called sure


def test_a_straight_drive_tells_nothing_and_says_so() -> None:
    found = lens(world(straight_drive(40), Errors(focal=0.2)).slam_map)
    assert found is None or found.rel_sigma > 0.05


def test_halves_of_different_lenses_contradict_each_other() -> None:
    # the second half of the images is a fifth larger, as if the camera had zoomed in between
    w = world(turning_walk(40))
    alike = lens(w.slam_map)
    centre = [CAMERA.cx, CAMERA.cy]
    for k in range(20, 40):
        seen = w.slam_map.observed[k]
        w.slam_map.observed[k] = type(seen).of(seen.ids, (seen.pixels - centre) * 1.2 + centre)
    zoomed = lens(w.slam_map)
    assert alike is not None
    assert zoomed is not None
    assert zoomed.contradiction > CONTRADICTION_SIGMAS > alike.contradiction
    assert zoomed.rel_sigma > max(0.03, 2 * alike.rel_sigma)


def test_few_keyframes_say_nothing() -> None:
    assert lens(world(turning_walk(7)).slam_map) is None
    assert lens(world(turning_walk(24)).slam_map) is not None


def test_a_part_has_its_own_keyframes_and_what_they_see_twice() -> None:
    problem = gather(world(turning_walk(12)).slam_map, np.arange(12))
    half = part(problem, 4, 9)
    assert half.keyframe_ids.tolist() == [4, 5, 6, 7, 8]
    assert half.cam.min() == 0
    assert half.cam.max() == 4
    assert (np.bincount(half.point, minlength=len(half.points)) >= 2).all()
    rows = (problem.cam >= 4) & (problem.cam < 9)
    twice = np.bincount(problem.point[rows], minlength=len(problem.points)) >= 2
    assert half.landmark_ids.tolist() == problem.landmark_ids[twice].tolist()
    assert len(half.cam) == int(twice[problem.point[rows]].sum())
    np.testing.assert_allclose(half.errors_px(), problem.errors_px()[rows][twice[problem.point[rows]]])
