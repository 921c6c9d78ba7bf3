"""Poses proposed by a network: exact networks give exact poses in the map's gauge, in both ways."""

from collections.abc import Sequence

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.network.reloc.files import packaged_adapter
from vgslam.network.reloc.query_poses import LocalPoses
from vgslam.network.vggt_backbone import VggtBackbone
from vgslam.network.weight_files import PACKAGED
from vgslam.network.weights import load
from vgslam.reloc.learned import (
    NetworkProposer,
    PairwiseProposer,
    consensus_proposer,
    learned_proposer,
    network_proposer,
    pairwise_proposer,
)
from vgslam.reloc.proposal import PoseProposer, References
from vgslam.types import Array, Image, Keyframe, check_pose

CAMERA = Camera(60.0, 60.0, 39.5, 31.5, 80, 64)
QUERY = 99


def pose(rng: np.random.Generator) -> Array:
    return se3.exp(np.concatenate([rng.normal(0, 0.3, 3), rng.normal(0, 2.0, 3)]))


def image(number: int) -> Image:
    return np.full((64, 80, 3), number, np.uint8)


@pytest.fixture
def slam_map() -> SlamMap:
    rng, made = np.random.default_rng(0), SlamMap()
    for k in range(6):
        S = Sim3.from_T(pose(rng), 0.5 + k)  # every keyframe in units of its own
        made.add_keyframe(Keyframe(k, k, float(k), image(k), CAMERA, S), np.zeros(0, np.int64), np.zeros((0, 2)))
    return made


class Oracle:
    """Knows the pose of every image, in the frame of the anchor and in a unit of its own; errs as it is told."""

    def __init__(self, slam_map: SlamMap, T_world_query: Array, knows_scale: bool, error_m: float = 0.0) -> None:
        self.name = "learned" if knows_scale else "consensus"
        self.map, self.T_world_query, self.knows_scale, self.error_m = slam_map, T_world_query, knows_scale, error_m

    def predict(self, images: Sequence[Image], cameras: Sequence[Camera], T_world_refs: Array) -> LocalPoses:
        ids = np.array([int(x[0, 0, 0]) for x in images])
        assert ids[-1] == QUERY
        T = np.concatenate([self.map.T_world_keyframes(ids[:-1]), self.T_world_query[None]])
        np.testing.assert_allclose(T[:-1], T_world_refs)
        local = se3.inverse(T[0]) @ T
        local[1:-1, :3, 3] += self.error_m * np.array([0.6, 0, 0.8])
        local[:, :3, 3] /= 0.3
        return LocalPoses(local[:-1], local[-1], 0.3 if self.knows_scale else float("nan"))


@pytest.mark.parametrize("knows_scale", [True, False])
def test_exact_networks_propose_exact_poses(slam_map: SlamMap, knows_scale: bool) -> None:
    T = pose(np.random.default_rng(1))
    proposer: PoseProposer = NetworkProposer(Oracle(slam_map, T, knows_scale))
    found = proposer.propose(References.of(slam_map, [3, 1, 4, 0]), image(QUERY), CAMERA)
    assert [p.method for p in found] == (["learned", "learned-consensus"] if knows_scale else ["consensus"])
    for p in found:
        np.testing.assert_allclose(p.T_world_cam, T, atol=1e-9)
        assert 0 <= p.spread < 1e-9


def test_spread_of_the_direct_way_is_how_far_the_keyframes_are_misplaced(slam_map: SlamMap) -> None:
    T = pose(np.random.default_rng(1))
    spreads = []
    for error in (0.01, 0.1):
        proposer = NetworkProposer(Oracle(slam_map, T, True, error))
        direct, consensus = proposer.propose(References.of(slam_map, [3, 1, 4, 0]), image(QUERY), CAMERA)
        assert direct.spread == pytest.approx(error * np.sqrt(3 / 4))
        spreads.append(consensus.spread)
    assert spreads[1] > 5 * spreads[0] > 0


def test_no_more_keyframes_than_asked_for_and_each_once(slam_map: SlamMap) -> None:
    seen: list[int] = []

    class Counting(Oracle):
        def predict(self, images: Sequence[Image], cameras: Sequence[Camera], T_world_refs: Array) -> LocalPoses:
            seen.extend(int(x[0, 0, 0]) for x in images)
            assert len(cameras) == len(images)
            return super().predict(images, cameras, T_world_refs)

    proposer = NetworkProposer(Counting(slam_map, np.eye(4), True), max_references=3)
    proposer.propose(References.of(slam_map, [5, 2, 5, 2, 0, 1]), image(QUERY), CAMERA)
    assert seen == [5, 2, 0, QUERY]


def test_nothing_is_proposed_where_the_scale_is_unknown(slam_map: SlamMap) -> None:
    proposer = NetworkProposer(Oracle(slam_map, np.eye(4), False))
    assert proposer.propose(References.of(slam_map, [2]), image(QUERY), CAMERA) == []
    S = slam_map.keyframes[2].S_world_keyframe
    slam_map.set_pose(3, Sim3(np.eye(3), S.t, 2.0))  # turned in place
    assert proposer.propose(References.of(slam_map, [2, 3]), image(QUERY), CAMERA) == []


def test_late_fusion_of_exact_pairs_is_exact(slam_map: SlamMap) -> None:
    T = pose(np.random.default_rng(1))
    proposer: PoseProposer = PairwiseProposer(Oracle(slam_map, T, False))
    (found,) = proposer.propose(References.of(slam_map, [3, 1, 4, 0]), image(QUERY), CAMERA)
    np.testing.assert_allclose(found.T_world_cam, T, atol=1e-9)
    assert found.method == "late-fusion"
    assert found.spread < 1e-9
    assert proposer.propose(References.of(slam_map, [3, 3]), image(QUERY), CAMERA) == []


def test_late_fusion_says_nothing_where_the_query_lies_on_one_line_with_all(slam_map: SlamMap) -> None:
    for k in range(3):
        slam_map.set_pose(k, Sim3(np.eye(3), np.array([float(k), 0, 0])))
    T = se3.from_rt(np.eye(3), np.array([5.0, 0, 0]))
    oracle, references = Oracle(slam_map, T, False), References.of(slam_map, [0, 1, 2])
    assert PairwiseProposer(oracle).propose(references, image(QUERY), CAMERA) == []
    (found,) = NetworkProposer(oracle).propose(references, image(QUERY), CAMERA)
    np.testing.assert_allclose(found.T_world_cam, T, atol=1e-9)


def test_proposers_of_the_packaged_network(slam_map: SlamMap) -> None:
    backbone = VggtBackbone(load("vggt-s"))
    learned = learned_proposer(backbone)
    assert learned is not None
    pictures = np.random.default_rng(0).integers(0, 255, (6, 64, 80, 3), np.uint8)
    for keyframe, picture in zip(slam_map.keyframes, pictures):
        keyframe.image = picture
    proposers = (learned, consensus_proposer(backbone), pairwise_proposer(backbone))
    found = [p for x in proposers for p in x.propose(References.of(slam_map, [0, 1, 2]), pictures[3], CAMERA)]
    assert {"learned", "learned-consensus", "consensus"} <= {p.method for p in found}
    for p in found:
        check_pose(p.method, p.T_world_cam)
        assert p.spread >= 0


@pytest.mark.parametrize("name", PACKAGED)
def test_a_network_says_how_it_proposes(name: str, slam_map: SlamMap) -> None:
    proposer = network_proposer(VggtBackbone(load(name)))
    has_adapter = packaged_adapter(name) is not None
    assert ("learned" in proposer.methods) == has_adapter
    pictures = np.random.default_rng(0).integers(0, 255, (6, 64, 80, 3), np.uint8)
    for keyframe, picture in zip(slam_map.keyframes, pictures):
        keyframe.image = picture
    found = proposer.propose(References.of(slam_map, [0, 1, 2]), pictures[3], CAMERA)
    assert {"consensus"} <= {p.method for p in found} <= set(proposer.methods)
