"""Equality of Depth-Anything-3 with the published network, through the parity kit beside the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import THIRD_PARTY, manifest_shapes

from vgslam.network.da3.config import ARCHITECTURES
from vgslam.network.da3.loading import PREFIX, aliases
from vgslam.network.da3.network import skeleton

REPO = Path(__file__).parents[2]
CHECKER = REPO.parent / "shared" / "parity" / "da3" / "check_da3.py"


@pytest.mark.skipif(not CHECKER.exists(), reason="the parity kit ../shared/parity/da3 is not beside the repository")
@pytest.mark.parametrize("what", ["keys", "run", "units", "prep"])
def test_kit_agrees(what: str) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKER), what, "--factor", "0.5"], cwd=REPO, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not returned" not in done.stdout
    assert "not implemented" not in done.stdout


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
