"""A loop is seen from both sides, or it is none: what the two say is laid down here, the answer worked out by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc import verifiers
from vgslam.reloc.locate import Recovered
from vgslam.reloc.loops import LoopConfig, Meeting
from vgslam.reloc.places import Places
from vgslam.types import Array, Keyframe

CAMERA = Camera.from_fov(64, 48, 70.0)
DEPTH = 4.0
PIXELS = np.stack(np.meshgrid(np.arange(4.0, 64, 6), np.arange(4.0, 48, 6)), axis=-1).reshape(-1, 2)
"""All over the image: each of the 16 parts holds some."""
Say = Callable[[int, Array], Recovered | None]


def two_keyframes() -> SlamMap:
    """Both at the origin, with a wall in front of them; each has landmarks of its own on it."""
    m = SlamMap()
    for k in range(2):
        image = np.zeros((48, 64, 3), np.uint8)
        keyframe = Keyframe(k, k, float(k), image, CAMERA, Sim3.identity())
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        points = CAMERA.rays(PIXELS) * DEPTH
        ids = m.landmarks.add(k, points, np.full(len(points), 0.01), np.zeros((len(points), 3), np.uint8))
        m.landmarks.is_triangulated[ids] = True
        m.observe(k, ids, PIXELS)
    return m


def turned(degrees: float, x: float = 0.0) -> Array:
    """T_world_cam."""
    return se3.from_rt(se3.so3_exp(np.radians([0.0, degrees, 0.0])), np.array([x, 0.0, 0.0]))


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Meeting | None]:
    """verify(forth, back): the meeting of keyframe 1 with 0. forth: where 1 is found from 0; back: where 0 from 1."""
    m = two_keyframes()
    many = np.zeros((60, 2))
    monkeypatch.setattr(verifiers, "epipolar_matches", lambda *_: (many, many))
    monkeypatch.setattr(Places, "features", lambda *_: None)

    def run(
        forth: Array | None, back: Array | None, pixels: tuple[Array, Array] = (PIXELS, PIXELS),
        config: LoopConfig | None = None,
    ) -> Meeting | None:  # fmt: skip
        verifier = verifiers.LandmarkVerifier(m, Places(m), FeatureConfig(), config or LoopConfig())

        def locate(k: int, *_: object) -> Recovered | None:
            T = (forth, back)[k]
            ids = m.observed[k].ids[: len(pixels[k])]
            return None if T is None else Recovered(T, np.eye(6), ids, pixels[k].astype(np.float32), k, 0.9)

        monkeypatch.setattr(verifier._locator, "locate", locate)
        return verifier.verify(0, 1)

    return run


def test_two_sides_that_agree_are_a_meeting(verify: Callable[..., Meeting | None]) -> None:
    """One side turns the second keyframe by 1 degree and moves it by 0.16; the other turns the first by -2 degrees,
    which is the same seen from there, and lets it be. The answer lies between, and half the difference is its
    deviation."""
    met = verify(turned(1.0, 0.16), turned(-2.0))
    assert met is not None
    assert se3.angle_deg(met.edge.S_a_b.R) == pytest.approx(1.5, abs=1e-6)
    assert met.edge.S_a_b.t == pytest.approx([0.08, 0, 0], abs=1e-9)
    assert met.edge.sigmas[:3] == pytest.approx([np.radians(0.5)] * 3)
    z = (DEPTH * np.cos(np.radians(1.0)) + (CAMERA.rays(PIXELS)[:, 0] * DEPTH - 0.16) * np.sin(np.radians(1.0)))
    assert met.depth == pytest.approx(float(np.median(z)), rel=1e-6)
    assert met.edge.sigmas[3:6] == pytest.approx([0.08] * 3)
    assert met.n_inliers == len(PIXELS)


def test_two_sides_that_say_exactly_the_same_are_not_taken_to_be_exact(verify: Callable[..., Meeting | None]) -> None:
    met = verify(turned(0.0), turned(0.0))
    assert met is not None
    assert met.edge.sigmas == pytest.approx([5e-3] * 3 + [0.01 * DEPTH] * 3 + [0.02])


def test_one_side_alone_is_no_loop(verify: Callable[..., Meeting | None]) -> None:
    assert verify(turned(0.0), turned(0.0)) is not None
    assert verify(turned(0.0), None) is None
    assert verify(None, turned(0.0)) is None


@pytest.mark.parametrize(("degrees", "x", "is_loop"), [(2.9, 0.0, True), (3.1, 0.0, False), (0.0, 0.59, True),
                                                      (0.0, 0.61, False), (180.0, 0.0, False)])  # fmt: skip
def test_the_two_sides_must_say_the_same(
    degrees: float, x: float, is_loop: bool, verify: Callable[..., Meeting | None]
) -> None:
    """Within 3 degrees, and 0.15 of the depth of 4: 0.6."""
    assert (verify(turned(0.0), turned(degrees, x)) is not None) == is_loop
    assert (verify(turned(degrees, x), turned(0.0)) is not None) == is_loop


@pytest.mark.parametrize("side", [0, 1])
def test_landmarks_in_a_corner_of_either_image_are_no_evidence(
    side: int, verify: Callable[..., Meeting | None]
) -> None:
    corner = np.tile([3.0, 3.0], (len(PIXELS), 1))
    pixels = (corner, PIXELS) if side == 0 else (PIXELS, corner)
    assert verify(turned(0.0), turned(0.0), pixels) is None


def test_too_few_matches_are_no_evidence(verify: Callable[..., Meeting | None]) -> None:
    assert verify(turned(0.0), turned(0.0), config=replace(LoopConfig(), min_matches=60)) is not None
    assert verify(turned(0.0), turned(0.0), config=replace(LoopConfig(), min_matches=61)) is None
