"""The small network that the tests of this folder share: the golden model, in float64."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from vgslam.network.vggt import Vggt

THIRD_PARTY = Path(__file__).parents[1] / "third_party"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden_tool() -> ModuleType:
    """tools/golden_network.py, which makes the golden numbers."""
    path = Path(__file__).parents[1] / "tools" / "golden_network.py"
    spec = importlib.util.spec_from_file_location("golden_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model(golden_tool: ModuleType) -> Vggt:
    """Shared: tests must leave its weights as they are."""
    return golden_tool.golden_model()


@pytest.fixture
def fresh_model(golden_tool: ModuleType) -> Vggt:
    """The same model, to be changed freely."""
    return golden_tool.golden_model()


@pytest.fixture(scope="session")
def images(golden_tool: ModuleType) -> torch.Tensor:
    """(1,3,3,40,56) float64 in [0,1]."""
    return golden_tool.golden_inputs()[0]


@pytest.fixture(scope="session")
def queries(golden_tool: ModuleType) -> torch.Tensor:
    """(1,4,2) px."""
    return golden_tool.golden_inputs()[1]


@pytest.fixture(scope="session")
def manifest() -> dict[str, list[int]]:
    """Keys and shapes of the published VGGT-1B."""
    return manifest_shapes(json.loads((THIRD_PARTY / "vggt_1b_manifest.json").read_text()))


def manifest_shapes(content: dict[str, Any]) -> dict[str, list[int]]:
    """Keys and shapes that a manifest lists, with those of all blocks."""
    shapes: dict[str, list[int]] = dict(content["tensors"])
    for pattern, count in content["repeats"].items():
        block = shapes.pop(pattern)
        shapes |= {pattern.replace("*", str(i)): block for i in range(count)}
    return shapes
