"""Equality with the published network, through the parity kit beside the repository; and our own golden numbers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).parents[2]
CHECKER = REPO.parent / "shared" / "parity" / "check_parity.py"


@pytest.mark.skipif(not CHECKER.exists(), reason="the parity kit ../shared/parity is not beside the repository")
@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "--adapter", "tests.parity_adapter:full_state_dict_shapes"],
        ["run", "--set", "tiny", "--adapter", "tests.parity_adapter:run", "--factor", "0.5"],
        ["run", "--set", "variant", "--adapter", "tests.parity_adapter:run", "--factor", "0.5"],
        ["prep", "--adapter", "tests.parity_adapter:preprocess"],
    ],
    ids=["keys", "tiny", "variant", "prep"],
)
def test_kit_agrees(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKER), *arguments], cwd=REPO, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not returned" not in done.stdout


def test_own_golden_numbers(golden_tool) -> None:
    with np.load(golden_tool.DEFAULT_OUT) as golden:
        found = golden_tool.golden_outputs()
        assert set(golden.files) == set(found)
        for name in golden.files:
            np.testing.assert_allclose(found[name], golden[name], rtol=1e-7, atol=1e-8, err_msg=name)
