"""What the hard relocalization suite asks for, and how it counts."""

import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error

from bench.hard_images import CHANGES, exposed, moved
from bench.hard_places import Gauge, changed
from bench.hard_worlds import FOREIGN_WORLDS, WORLDS, HardWorld, views, walk
from bench.relocalization_hard import HardAnswer, table
from vgslam.geometry import se3

GREY = np.full((48, 64, 3), 100, np.uint8)


def test_two_stops_are_a_factor_of_four_of_the_light() -> None:
    """100 / 255 to the power 2.2 is 0.1275; a quarter of it shows as 53 and four times as 188."""
    assert exposed(GREY, -2.0)[0, 0, 0] == 53
    assert exposed(GREY, 2.0)[0, 0, 0] == 188
    assert exposed(GREY + 100, 2.0).max() == 255


def test_a_moving_camera_smears_a_point_along_its_way() -> None:
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    smeared = moved(point, 10.0, 0.0)[:, :, 0]
    rows, cols = np.nonzero(smeared)
    assert set(rows) == {20}
    assert cols.max() - cols.min() == 10


def test_changes_are_taken_in_turn_and_repeat() -> None:
    images = [np.random.default_rng(i).integers(0, 255, (16, 640, 3)).astype(np.uint8) for i in range(9)]
    first, again = changed(images, None, "here", 4), changed(images, None, "here", 4)
    assert [q.kind for q in first] == [*CHANGES, *list(CHANGES)[:2]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0].image, images[0])
    assert all(not np.array_equal(q.image, x) for q, x in zip(first[1:7], images[1:7], strict=True))


def test_errors_are_those_beside_the_nearest_mapped_frame() -> None:
    """A map half as large as the truth, whose second part is bent by 8 degrees: neither is an error."""
    truth = np.stack([pose((0, 5 * i, 0), (0.3 * i, 0, 0)) for i in range(6)])
    mapped = truth.copy()
    mapped[:, :3, 3] *= 0.5
    bend = pose((0, 8, 0), (0.2, 0, 0.1))
    mapped[3:] = bend @ mapped[3:]
    gauge = Gauge(mapped, truth, 2.0, 4.0)
    step = pose((2, 3, 0), (0.1, 0.05, 0.02))
    small = se3.from_rt(step[:3, :3], step[:3, 3] / 2)
    for i in (1, 4):
        assert gauge.error(mapped[i] @ small, truth[i] @ step) == pytest.approx((0.0, 0.0), abs=1e-5)
    off = mapped[1] @ small @ pose((0, 2, 0), (0.1, 0, 0))
    assert gauge.error(off, truth[1] @ step) == pytest.approx((0.2 / 4, 2.0), abs=1e-4)


def test_views_of_a_world_see_what_is_mapped_from_the_angle_they_say() -> None:
    which = HardWorld("room", 900, "walk")
    seen = walk(which, 5)
    found = views(which, seen, {"view 15-30": 1, "view 30-45": 1})
    assert sorted(a.kind for a in found) == ["view 15-30", "view 30-45"]
    for a in found:
        low = float(a.kind.split()[1].split("-")[0])
        assert low <= a.angle_deg < low + 15
        nearest = min(pose_error(a.T_world_cam, T)[0] for T in seen.T_world_cam)
        assert nearest > 5
        assert a.image.shape == (CAMERA.height, CAMERA.width, 3)


def test_foreign_worlds_are_not_the_mapped_ones() -> None:
    assert not {(w.kind, w.seed) for w in FOREIGN_WORLDS} & {(w.kind, w.seed) for w in WORLDS}


def answer(method: str, is_accepted: bool, error: float | None, is_foreign: bool = False) -> HardAnswer:
    return HardAnswer(
        "room", "room", "dark", 0, method, is_foreign, is_accepted, "pnp", 0.9, 40, error,
        None if error is None else 1.0, 0.5,
    )  # fmt: skip


def test_found_false_and_foreign_are_counted_apart() -> None:
    rows = [
        answer("pnp", True, 0.02), answer("pnp", True, 0.08), answer("pnp", True, 0.3), answer("pnp", False, None),
        answer("pnp", True, None, True), answer("pnp", False, None, True),
    ]  # fmt: skip
    lines = table(rows).splitlines()
    assert "| dark | 4 | 2 (1) | 1 | 0.50 |" in lines
    assert "| room | 2 | 1 of 2 | 0.50 |" in lines
