"""Which answers of the relocalizer are used: trust worked out by hand, and the system that asks for it."""

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, pose

from vgslam.frontend.features import FeatureConfig
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.localization import BIAS, WEIGHTS, Evidence, Localization, cells
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.slam import Slam, SlamConfig
from vgslam.types import Frame, Status

PLAIN = Evidence(n_inliers=30, ratio=0.6, share=0.2, n_cells=8, n_references=1)
"""All five features are 0: the trust is that of the bias, 1 / (1 + e^1.07) = 0.2554."""


def answer(evidence: Evidence, is_ambiguous: bool = False, T: np.ndarray | None = None, k: int = 0) -> Localization:
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    T = np.eye(4) if T is None else T
    return Localization(T, np.eye(6), evidence, "pnp", (k,), k, 0, *nothing, depth=4.0, is_ambiguous=is_ambiguous)


def test_trust_by_hand() -> None:
    assert PLAIN.trust == pytest.approx(1 / (1 + np.exp(1.07)))
    more = Evidence(n_inliers=60, ratio=0.8, share=0.5, n_cells=16, n_references=4)
    z = -1.07 + 0.46 * np.log(2) + 1.58 * 0.2 + 3.02 * 0.3 + 0.94 * 0.5 + 0.33 * 2
    assert more.trust == pytest.approx(1 / (1 + np.exp(-z)))
    assert more.features() == pytest.approx((np.log(2), 0.2, 0.3, 0.5, 2.0))
    assert (BIAS, len(WEIGHTS)) == (-1.07, 5)


def test_every_sort_of_evidence_adds_to_the_trust() -> None:
    stronger = [Evidence(40, 0.6, 0.2, 8, 1), Evidence(30, 0.7, 0.2, 8, 1), Evidence(30, 0.6, 0.3, 8, 1),
                Evidence(30, 0.6, 0.2, 9, 1), Evidence(30, 0.6, 0.2, 8, 2)]  # fmt: skip
    assert all(e.trust > PLAIN.trust for e in stronger)


def test_cells_hold_two_points_or_more() -> None:
    """In an image of 80x40 px, cells of 20x10: two in the first, one in the second, three in the last."""
    px = np.array([[0, 0], [19.9, 9.9], [20.1, 0], [79, 39], [79.9, 39.9], [60.1, 30.1]])
    assert cells(px, 80, 40) == 2


@pytest.fixture
def relocalizer() -> Relocalizer:
    m = SlamMap()
    return Relocalizer(m, Places(m), FeatureConfig(), RelocalizerConfig())


def test_only_answers_of_enough_trust_are_used(relocalizer: Relocalizer) -> None:
    """z = -1.07 + 1.58 * 0.35 + 3.02 * 0.15 = -0.064 gives 0.484; a share of 0.40, z = 0.087, gives 0.522."""
    below, above = Evidence(30, 0.95, 0.35, 8, 1), Evidence(30, 0.95, 0.40, 8, 1)
    assert below.trust == pytest.approx(0.484, abs=1e-3)
    assert above.trust == pytest.approx(0.522, abs=1e-3)
    assert not relocalizer.accepts(answer(PLAIN))
    assert not relocalizer.accepts(answer(below))
    assert relocalizer.accepts(answer(above))


@pytest.mark.parametrize(("min_trust", "is_used"), [(0.25, True), (0.26, False), (0.0, True)])
def test_the_settings_may_ask_for_more_or_less(min_trust: float, is_used: bool) -> None:
    m = SlamMap()
    relocalizer = Relocalizer(m, Places(m), FeatureConfig(), RelocalizerConfig(min_trust=min_trust))
    assert relocalizer.accepts(answer(PLAIN)) is is_used


def test_an_ambiguous_answer_or_none_is_never_used(relocalizer: Relocalizer) -> None:
    sure = Evidence(300, 1.0, 1.0, 16, 8)
    assert relocalizer.accepts(answer(sure))
    assert not relocalizer.accepts(answer(sure, is_ambiguous=True))
    assert answer(sure, is_ambiguous=True).trust == 0.0
    assert not relocalizer.accepts(None)


def test_near_is_within_reach_of_a_camera_in_doubt() -> None:
    """Depth 4: 0.3 of it is 1.2. Turns below 45 degrees."""
    here = np.eye(4)
    assert answer(PLAIN, T=pose((0, 44, 0), (0, 0, 1.19))).is_near(here, 0)
    assert not answer(PLAIN, T=pose((0, 46, 0), (0, 0, 1.19))).is_near(here, 0)
    assert not answer(PLAIN, T=pose((0, 44, 0), (0, 0, 1.21))).is_near(here, 0)
    assert not answer(PLAIN).is_near(here, 1)


@pytest.mark.parametrize(("share", "status"), [(0.35, Status.LOST), (0.40, Status.RELOCALIZED)])
def test_the_system_is_found_by_an_answer_of_enough_trust_alone(
    share: float, status: Status, walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost in the dark, it is offered a place on the other side of the limit of 0.5, far from where it was."""
    slam = Slam(CAMERA, SlamConfig())
    for frame in frames_of(walk.images[:20]):
        slam.process(frame)
    dark = [Frame(20 + i, 1.0 + i, np.zeros_like(walk.images[0]), CAMERA) for i in range(3)]
    for frame in dark[:2]:
        slam.process(frame)
    assert slam.map.frames[-1].status is Status.LOST
    far = np.eye(4)
    far[:3, 3] = [0.0, 0.0, -50.0]
    offered = answer(Evidence(30, 0.95, share, 8, 1), T=far)
    monkeypatch.setattr(slam.relocalizer, "locate", lambda *_, **__: offered)
    monkeypatch.setattr(slam.relocalizer, "contradicts", lambda *_, **__: False)
    assert slam.process(dark[2]).status is status
