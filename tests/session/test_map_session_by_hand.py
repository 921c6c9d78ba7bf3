"""One run's part in a map: which folders it takes, when it saves, and with which camera it goes on."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.errors import ConfigError, MapError
from vgslam.map.slam_map import Session
from vgslam.map.world import World
from vgslam.session.map_session import MapSession
from vgslam.store.manifest import MANIFEST
from vgslam.store.map_folder import MapFolder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A map of two keyframes and one session."""
    m = hand_map([at(), at(x=1.0)])
    m.sessions = [Session("first", "2026-01-02T03:04:05+00:00", 0)]
    with MapFolder(tmp_path / "a.map") as folder:
        folder.save(m)
    return tmp_path / "a.map"


def test_localizing_needs_a_map_and_holds_it_for_nobody(saved: Path) -> None:
    with pytest.raises(ConfigError, match="--localize needs the map"):
        MapSession.open(None, True, "1GiB")
    with MapSession.open(saved, True, "1GiB") as looking, MapSession.open(saved, False, "1GiB") as writing:
        assert (looking.is_localizing, writing.is_localizing) == (True, False)
        assert looking.folder is None
        assert writing.folder is not None
        assert looking.n_keyframes_before == writing.n_keyframes_before == 2
    MapSession.open(saved, False, "1GiB").__exit__()


def test_a_map_that_cannot_be_read_is_let_go_of(saved: Path) -> None:
    """Once it is mended, it can be written again."""
    picture = next((saved / "pictures").rglob("*.png"))
    data = picture.read_bytes()
    picture.write_bytes(data[:-1])
    with pytest.raises(MapError, match="missing or truncated"):
        MapSession.open(saved, False, "1GiB")
    picture.write_bytes(data)
    MapSession.open(saved, False, "1GiB").__exit__()


def test_a_run_without_a_map_keeps_none_and_tells_of_none(tmp_path: Path) -> None:
    session = MapSession.open(None, False, "1GiB")
    assert session.begin("film", CAMERA) is CAMERA
    assert (session.folder, session.describe(), session.slam_map.sessions) == (None, None, [])
    session.save()


def test_a_later_run_is_a_session_of_its_own_and_its_frames_count_on(saved: Path) -> None:
    with MapSession.open(saved, False, "1GiB") as session:
        session.begin("second", CAMERA)
        assert [s.name for s in session.slam_map.sessions] == ["first", "second"]
        assert session.first_frame_id == 11, "the last frame of the first is 10"
        assert (session.n_frames_before, session.n_keyframes_saved) == (2, 2)
        told = session.describe()
        assert told == {"path": str(saved), "is_localizing": False, "session": 1, "n_keyframes_before": 2,
                        "n_keyframes": 2}  # fmt: skip


@pytest.mark.parametrize(("change", "is_taken"), [
    ({"fx": 103.9}, True), ({"fx": 104.1}, False), ({"cy": 83.4}, True), ({"cy": 83.6}, False),
    ({"width": 201}, False), ({"height": 159}, False),
])  # fmt: skip
def test_a_map_is_gone_on_with_by_its_own_camera_to_two_percent_of_its_width(
    change: dict[str, Any], is_taken: bool
) -> None:
    """Its images are 200 wide, so that 4 px are taken for the same."""
    session = MapSession.in_memory(hand_map([at()]))
    other = replace(CAMERA, **change)
    if is_taken:
        assert session.begin("x", other) == CAMERA, "that of the map, which has been adjusted"
    else:
        with pytest.raises(ConfigError, match="begin another map"):
            session.begin("x", other)


def test_frames_of_another_size_are_refused_before_anything_is_estimated() -> None:
    session = MapSession.in_memory(hand_map([at()]))
    session.check_size(200, 160)
    for size in ((200, 161), (201, 160)):
        with pytest.raises(ConfigError, match=f"these frames are {size[0]}x{size[1]}"):
            session.check_size(*size)
    MapSession.in_memory().check_size(3, 4)


@pytest.mark.parametrize(("n", "n_saved", "is_due"), [
    (19, 0, False), (20, 0, True), (120, 101, False), (120, 100, True), (400, 361, False), (400, 360, True),
])  # fmt: skip
def test_it_is_saved_after_twenty_new_keyframes_or_a_tenth(n: int, n_saved: int, is_due: bool) -> None:
    kept: list[Any] = []
    m: Any = SimpleNamespace(keyframes=range(n), sessions=[])
    session = MapSession(m, SimpleNamespace(save=kept.append), None, False, 0, n_saved)  # type: ignore[arg-type]
    assert session.is_save_due is is_due
    session.save_when_due()
    assert kept == ([m] if is_due else [])
    assert session.n_keyframes_saved == (n if is_due else n_saved)
    assert not MapSession(m, None, None, False, 0, n_saved).is_save_due, "it has no folder"


def test_a_map_in_the_middle_of_a_change_is_not_saved(saved: Path) -> None:
    with MapSession.open(saved, False, "1GiB") as session:
        before = (saved / MANIFEST).read_bytes()
        with suppress(ZeroDivisionError), session.changing():
            assert not session.is_whole
            session.save()
            _ = 1 / 0
        assert not session.is_whole
        session.save()
        assert (saved / MANIFEST).read_bytes() == before
        session.is_whole = True
        with session.changing():
            pass
        session.save()
        assert (saved / MANIFEST).read_bytes() != before


def test_what_was_metric_before_a_session_is_remembered_for_it(saved: Path) -> None:
    m = hand_map([at(), at(x=1.0)])
    m.worlds[0] = World(is_metric=True)
    with MapFolder(saved.parent / "metric.map") as folder:
        folder.save(m)
    with MapSession.open(saved.parent / "metric.map", False, "1GiB") as session:
        assert len(session.anchors) == 1
        for keyframe in session.slam_map.keyframes:
            keyframe.component_id = 5
        session.keep_world()
        assert session.slam_map.world_of(5).is_metric
