"""`python -m bench adapt-starts`: the errors of a start do not depend on its unit, and are those that were put in."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.adapt_starts import Asked, StartError, in_common, start_error, table
from vgslam.geometry import se3
from vgslam.types import Array, Camera, WindowInput
from vgslam_train.worlds.sequences import Sequence

CAMERA = Camera.from_fov(64, 48, 70.0)
T_WORLD_CAM = np.stack([se3.from_rt(se3.so3_exp(np.array([0.0, 0.3, 0.0])), np.array([1.0, 2.0, 3.0]))] * 2)
T_FIRST_LAST = se3.from_rt(se3.so3_exp(np.array([0.0, 0.0, 0.1])), np.array([0.5, 0.0, 0.0]))
T_WORLD_CAM[1] = T_WORLD_CAM[0] @ T_FIRST_LAST
PX = np.array([[x, y] for x in range(5, 60, 6) for y in range(5, 44, 6)], float)
DEPTH_M = 4.0 + 0.05 * np.mgrid[:48, :64].sum(0).astype(np.float32)
FILM = Sequence(np.zeros((2, 48, 64, 3), np.uint8), np.stack([DEPTH_M] * 2), T_WORLD_CAM, np.arange(2.0), CAMERA)
IDS = np.arange(len(PX))
WINDOW = WindowInput(
    np.array([0, 1]), list(FILM.images), CAMERA, np.repeat([0, 1], len(PX)), np.tile(IDS, 2), np.tile(PX, (2, 1))
)


def error(T: Array, depth_factor: Array | float = 1.0, unit: float = 1.0) -> StartError:
    """The error of a start with the pose T, whose depth is wrong by a factor, in another unit."""
    u, v = PX.astype(int).T
    landmarks = CAMERA.rays(PX) * (DEPTH_M[v, u].astype(float) * depth_factor * unit)[:, None]
    said = T.copy()
    said[:3, 3] *= unit
    return start_error(FILM, 0, 1, WINDOW, said, SimpleNamespace(landmark_ids=IDS, landmarks=landmarks))


@pytest.mark.parametrize("unit", [1.0, 0.1, 30.0])
def test_the_truth_in_any_unit_has_no_error(unit: float) -> None:
    e = error(T_FIRST_LAST, unit=unit)
    assert (e.rotation_deg, e.direction_deg, e.translation, e.depth) == pytest.approx((0, 0, 0, 0), abs=1e-4)


def test_errors_that_are_put_in_are_found() -> None:
    turned = T_FIRST_LAST @ se3.from_rt(se3.so3_exp(np.radians([0.0, 3.0, 0.0])), np.zeros(3))
    assert error(turned).rotation_deg == pytest.approx(3.0, abs=1e-6)
    sideways = T_FIRST_LAST.copy()
    sideways[:3, 3] = 0.5 * np.array([np.cos(0.2), np.sin(0.2), 0.0])
    assert error(sideways).direction_deg == pytest.approx(np.degrees(0.2), abs=1e-4)
    longer = T_FIRST_LAST.copy()
    longer[:3, 3] *= 1.5
    assert error(longer).translation == pytest.approx(0.5, abs=1e-6)
    uneven = np.where(np.arange(len(PX)) % 3 == 0, 1.0, np.where(np.arange(len(PX)) % 3 == 1, 1.2, 0.8))
    assert 0.1 < error(T_FIRST_LAST, uneven).depth < 0.3


def test_only_starts_that_were_believed_both_times_are_compared() -> None:
    good, bad = StartError(1.0, 10.0, 0.2, 0.1), StartError(2.0, 20.0, 0.4, 0.2)
    before, after = Asked(5, {"0+1": bad, "2+1": bad}), Asked(5, {"0+1": good, "4+1": bad, "6+1": bad})
    both = in_common(before, after)
    assert (both["rotation_deg"], both["n"]) == ([2.0, 1.0], [1.0, 1.0])
    nothing = in_common(Asked(5, {}), after)
    assert nothing["n"] == [0.0, 0.0]
    row = {
        "name": "side 0", "steps": 300, "before": {"n_asked": 5, "believed": before.believed},
        "after": {"n_asked": 5, "believed": after.believed}, "both": both,
    }  # fmt: skip
    assert "| 5 | 2 -> 3 | 1 | 2.000 -> 1.000 (-50 %) |" in table([row])[-1]
