"""What is taken over from another network's weights, and what is not."""

from dataclasses import replace

import torch

from vgslam.network.config import AggregatorConfig, MatchingConfig
from vgslam.network.vggt import Vggt, build
from vgslam_train.presets import VGGT_S
from vgslam_train.training.warm_start import block_taken, cropped_volume, warm_start

DEEP = replace(VGGT_S, aggregator=AggregatorConfig(depth=4, n_heads=3, layer_scale=1.0))
NEAR = replace(VGGT_S, matching=MatchingConfig(radius=4, coarse_radius=2))


def weight(model: Vggt, name: str) -> torch.Tensor:
    return model.state_dict()[name]


def test_the_same_network_is_taken_over_whole() -> None:
    model, source = build(VGGT_S, 1), build(VGGT_S, 2)
    assert warm_start(model, source) == []
    for name, value in source.state_dict().items():
        assert torch.equal(weight(model, name), value), name


def test_blocks_are_spread_evenly() -> None:
    assert [block_taken(i, 3, 4) for i in range(3)] == [0, 1, 3]
    assert [block_taken(i, 2, 24) for i in range(2)] == [0, 23]
    assert [block_taken(i, 4, 2) for i in range(4)] == [0, 1, 2, 3]
    model, source = build(VGGT_S, 1), build(DEEP, 2)
    assert warm_start(model, source) == []
    name = "aggregator.global_blocks.{}.attn.qkv.weight"
    assert torch.equal(weight(model, name.format(1)), weight(source, name.format(3)))
    model = build(DEEP, 1)
    kept = warm_start(model, build(VGGT_S, 2))
    assert {n.split(".")[2] for n in kept} == {"2", "3"}, "blocks that the source does not have"


def test_a_smaller_search_takes_the_middle_of_the_larger_one() -> None:
    """Two references, radius 1 to 0: the middle of each 3 x 3, and the three values behind it."""
    values = torch.arange(24.0)
    assert cropped_volume(values, 8).tolist() == [4, 9, 10, 11, 16, 21, 22, 23]
    assert cropped_volume(values, 24) is values
    model, source = build(NEAR, 1), build(VGGT_S, 2)
    kept = warm_start(model, source)
    assert kept
    assert all(name.startswith("aggregator.matching.coarse.") for name in kept), kept
    name, radius, taken = "aggregator.matching.cell.weight", 6, 4
    middle = radius * (2 * radius + 1) + radius
    assert torch.equal(weight(model, name)[:, taken * (2 * taken + 1) + taken], weight(source, name)[:, middle])
