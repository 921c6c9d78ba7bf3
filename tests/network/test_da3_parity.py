"""Equality of Depth-Anything-3 with the published network, through the parity kit beside the repository."""

import json
from pathlib import Path

import pytest
from golden import THIRD_PARTY, manifest_shapes
from parity_kit import check

from vgslam.network.da3.config import ARCHITECTURES
from vgslam.network.da3.loading import PREFIX, aliases
from vgslam.network.da3.network import skeleton

REPO = Path(__file__).parents[2]
CHECKER = REPO.parent / "shared" / "parity" / "da3" / "check_da3.py"


@pytest.mark.skipif(not CHECKER.exists(), reason="the parity kit ../shared/parity/da3 is not beside the repository")
@pytest.mark.parametrize("what", ["keys", "run", "units", "prep"])
def test_kit_agrees(what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    printed = check(CHECKER, [what, "--factor", "0.5"], monkeypatch, capsys)
    assert "PASS" in printed
    assert "not returned" not in printed
    assert "not implemented" not in printed


@pytest.mark.parametrize("name", ["da3-small", "da3-base"])
def test_names_and_shapes_are_those_of_the_published_file(name: str) -> None:
    content = json.loads((THIRD_PARTY / f"{name.replace('-', '_')}_manifest.json").read_text())
    model = skeleton(ARCHITECTURES[name])
    found = {PREFIX + key: list(p.shape) for key, p in model.named_parameters()}
    assert found == manifest_shapes(content)
    assert len(found) == content["n_tensors"]
    assert sum(p.numel() for p in model.parameters()) == content["n_parameters"]
    assert {PREFIX + a: PREFIX + k for a, k in aliases(model).items()} == content["aliases"]
    assert {PREFIX + key for key in model.state_dict()} == set(found) | set(content["aliases"])
