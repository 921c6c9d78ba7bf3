"""What nobody expected in `vgslam map merge`, `refine`, `scale`: one line, an exit code, and all maps as they were."""

from pathlib import Path

import pytest
from random_map import assert_same_map, random_map

from vgslam.commands import map as map_command
from vgslam.commands import map_scale
from vgslam.errors import InputError
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.open import load_map


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.vgslam", tmp_path / "b.vgslam"
    for seed, path in enumerate(paths):
        with MapFolder(path) as folder:
            folder.save(random_map(3, seed))
    return paths


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("singular\nmatrix")


ACTIONS = {
    "merge": (map_command.PlaceJoiner, "join", ("{a}", "{b}", "--out", "{out}")),
    "refine": (map_command, "refine_map", ("{a}",)),
    "refine into another": (map_command, "refine_map", ("{a}", "--out", "{out}")),
    "scale": (map_scale, "fulfil", ("{a}", "--gravity", "upright")),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_one_line_and_nothing_is_lost(
    name: str, maps: tuple[Path, Path], tmp_path: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, function, words = ACTIONS[name]
    monkeypatch.setattr(owner, function, broken)
    out = tmp_path / "new" / "out.vgslam"
    out.parent.mkdir()
    action = name.split()[0]
    code, _, err = vgslam("map", action, *(w.format(a=maps[0], b=maps[1], out=out) for w in words))
    log = (out.parent if "{out}" in words else maps[0]) / "failures.log"
    assert code == 3
    assert err == (f"vgslam: vgslam map {action} failed (RuntimeError: singular; see {log}); "
                   "maps are as they were last saved\n")  # fmt: skip
    assert "Traceback" in log.read_text()
    for seed, path in enumerate(maps):
        assert_same_map(load_map(path), random_map(3, seed))
        assert check_map(path).problems == []
    monkeypatch.undo()
    with MapFolder(out) as folder:  # what was begun there is not in the way of another try
        folder.save(load_map(maps[0]))


def test_errors_that_a_person_can_act_on_stay_as_they_are(
    maps: tuple[Path, Path], vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("no depth here")

    monkeypatch.setattr(map_scale, "fulfil", refuse)
    code, _, err = vgslam("map", "scale", maps[0], "--gravity", "upright")
    assert (code, err) == (2, "vgslam: no depth here\n")
    assert not (maps[0] / "failures.log").exists()


@pytest.mark.parametrize(("error", "expected"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_interruptions_are_no_failures(
    maps: tuple[Path, Path], vgslam, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: int
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    monkeypatch.setattr(map_scale, "fulfil", interrupt)
    code, _, _ = vgslam("map", "scale", maps[0], "--gravity", "upright")
    assert code == expected
    assert not (maps[0] / "failures.log").exists()
