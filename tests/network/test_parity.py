"""Equality with the published network, through the parity kit beside the repository; and our own golden numbers."""

from pathlib import Path

import numpy as np
import pytest
from parity_kit import check

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
def test_kit_agrees(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = check(CHECKER, arguments, monkeypatch, capsys)
    assert "PASS" in printed
    assert "not returned" not in printed


def test_own_golden_numbers(golden_tool) -> None:
    with np.load(golden_tool.DEFAULT_OUT) as golden:
        found = golden_tool.golden_outputs()
        assert set(golden.files) == set(found)
        for name in golden.files:
            np.testing.assert_allclose(found[name], golden[name], rtol=1e-7, atol=1e-8, err_msg=name)
