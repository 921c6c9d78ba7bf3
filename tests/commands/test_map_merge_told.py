"""`vgslam map merge` joins the two maps that are named by one place, and says so; of a second place nothing is said."""

from dataclasses import replace
from pathlib import Path

import pytest
from fleet.walks import FRAMES, N, saved, tie, walk

from vgslam.commands.map import MergeArgs, run_merge
from vgslam.fleet.fold import TieJoiner
from vgslam.fleet.ties import Tie
from vgslam.store.open import load_map

FAR = (0, 0, 5, 5)
"""Keyframes of both walks: 5 lie between the first and the last, which see 4 far."""
NEAR = (1, 1, 2, 2)


def two_walks(folder: Path) -> list[Path]:
    """Two maps of runs of their own."""
    paths = []
    for S, name in zip(FRAMES[:2], "ab", strict=True):
        m = walk(S)
        m.sessions = [replace(m.sessions[0], name=name)]
        paths.append(saved(m, folder / name))
    return paths


@pytest.mark.parametrize(
    ("ks", "says"), [(NEAR, "one place alone ties them (keyframes 1 to 2 of"), ((), "one place alone"), (FAR, "")]
)
def test_one_place_joins_two_maps_that_were_named_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ks: tuple[int, ...], says: str
) -> None:
    a, b = two_walks(tmp_path)
    asked: list[tuple[Path, Path]] = []

    def look(x: Path, y: Path) -> list[Tie]:
        asked.append((x, y))
        return [tie(k, k) for k in ks]

    joiner = TieJoiner([tie(k, k).edge(0, N) for k in (1, 2, 3)])
    assert run_merge(MergeArgs(a, b, tmp_path / "c"), joiner, look) == 0
    assert len({k.component_id for k in load_map(tmp_path / "c").keyframes}) == 1
    assert asked == [(a, b)]
    out = capsys.readouterr().out
    assert "1 component(s), 1 joined" in out
    assert ("one place alone" in out) == bool(says)
    assert says in out


def test_nothing_is_told_of_maps_that_were_not_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = two_walks(tmp_path)

    def look(x: Path, y: Path) -> list[Tie]:
        raise AssertionError("nobody asked")

    assert run_merge(MergeArgs(a, b, tmp_path / "c"), TieJoiner([]), look) == 0
    assert "one place" not in capsys.readouterr().out
