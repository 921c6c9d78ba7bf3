"""The typed configuration."""

import json

import pytest

from vgslam.errors import ConfigError
from vgslam.network.config import VGGT_1B, AggregatorConfig, DptConfig, VggtConfig
from vgslam.network.vggt import skeleton


def test_1b_has_the_published_size(manifest) -> None:
    shapes = {key: list(value.shape) for key, value in skeleton(VGGT_1B).state_dict().items()}
    assert shapes == manifest
    assert len(shapes) == 1797
    assert sum(p.numel() for p in skeleton(VGGT_1B).parameters()) == 1_256_537_516


def test_json_round_trip(golden_tool) -> None:
    for config in (VGGT_1B, golden_tool.golden_config(), VggtConfig(track=None, points=None)):
        assert VggtConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_missing_fields_take_defaults() -> None:
    config = VggtConfig.from_dict({"aggregator": {"depth": 24}, "track": None})
    assert config == VggtConfig(track=None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"widht": 3}, "unknown field widht"),
        ({"aggregator": {"depht": 3}}, r"unknown field aggregator\.depht"),
        ({"patch_size": 15}, "image_size"),
        ({"width": 1000}, "heads"),
        ({"aggregator": {"depth": 12}}, "layer that does not exist"),
        ({"aggregator": {"block_size": 5}}, "block_size"),
        ({"encoder": {"mlp_ratio": float("inf")}}, "mlp_ratio is too large"),
        ({"encoder": {"mlp_ratio": 10**400}}, "mlp_ratio: expected float"),
        ({"encoder": {"depth": 10**400}}, "depth is too large"),
        ({"encoder": {"depth": 2.0}}, "depth: expected int"),
        ({"encoder": {"depth": True}}, "depth: expected int"),
        ({"encoder": 5}, "encoder: expected EncoderConfig"),
        ({"depth": {"layers": [1, 2, "3", 4]}}, "layers"),
    ],
)
def test_contradictions_are_named(data, message) -> None:
    with pytest.raises(ConfigError, match=message):
        VggtConfig.from_dict(data)


def test_dense_head_needs_four_levels() -> None:
    with pytest.raises(ConfigError, match="four levels"):
        DptConfig(8, (8, 8, 8), (0, 1, 2))  # type: ignore[arg-type]


def test_grid() -> None:
    assert VGGT_1B.patches(392, 518) == (28, 37)
    assert VGGT_1B.tokens_per_frame(392, 518) == 1041
    assert AggregatorConfig(depth=4, block_size=2).depth == 4
    with pytest.raises(ConfigError, match="multiples of 14"):
        VGGT_1B.patches(392, 520)
