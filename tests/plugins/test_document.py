"""docs/extend.md, followed to the letter: its files are written, its commands run."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from plugin_install import run_with_plugins

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.S | re.M)


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block, in their order."""
    return BLOCK.findall((ROOT / "docs" / "extend.md").read_text())


def test_every_block_is_a_file_or_a_command() -> None:
    assert {language for language, _ in blocks()} == {"python", "toml", "sh"}
    named = [text.splitlines()[0] for language, text in blocks() if language != "sh"]
    assert len(named) >= 7
    assert all(re.fullmatch(r"# [\w/]+\.(py|toml)", line) for line in named)


@pytest.mark.slow
def test_the_document_can_be_followed(tmp_path: Path) -> None:
    printed = ""
    for language, text in blocks():
        if language == "sh":
            printed += run_with_plugins(["bash", "-eu", "-c", text], tmp_path).stdout
            continue
        path = tmp_path / text.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    run = tmp_path / "out" / "walk"
    report = json.loads((run / "report.json").read_text())
    assert report["source_kind"] == "numbered"  # recognised, not named
    assert report["n_frames"] == 45
    assert report["weights"]["model_id"] == "still:none"
    assert "verifier: strict" in (run / "config.yaml").read_text()
    sent = [float(row.split(",")[0]) for row in (tmp_path / "walk.csv").read_text().splitlines()]
    written = np.loadtxt(run / "trajectory.tum")[:, 0]  # the first frames get their poses when the map has begun
    assert len(sent) > 45 / 2
    np.testing.assert_allclose(sent, written[-len(sent) :], atol=1e-6)
    assert all(f"{name} (mine 1.0)" in " ".join(printed.split()) for name in ("numbered", "csv", "still", "strict"))
    live = re.findall(r"^\d+\.\d{3} (\w+)$", printed, re.M)
    assert len(live) == 45
    assert live[-1] == "TRACKED"

