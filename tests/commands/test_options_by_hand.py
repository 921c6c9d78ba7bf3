"""What `run` and `live` hand on of their options, each with a value of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vgslam import beside
from vgslam.cli import parse
from vgslam.commands import live, run
from vgslam.errors import ConfigError
from vgslam.sources.live import LiveOptions
from vgslam.sources.options import SourceOptions

OF_BOTH = ["--calib", "c.json", "--truth", "t.txt", "--stream", "3"]


class Handed:
    """What was opened, and with which options; tracking itself is left out, and ends with code 7."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Any] = []
        self.played: list[Any] = []
        self.connected: list[Any] = []
        self.rest: tuple[Any, ...] = ()
        for module in (run, live):
            monkeypatch.setattr(module, "run_in_terminal", self._tracked)
            monkeypatch.setattr(module, "open_source", self._opened)
        monkeypatch.setattr(live, "open_live", self._opened)
        monkeypatch.setattr(live, "in_real_time", self._played)
        monkeypatch.setattr("vgslam.sources.live_open.in_real_time", self._played)

    def _tracked(self, args: object, opened: Callable[[], Any], *rest: Any) -> int:
        opened()
        self.rest = rest
        return 7

    def _opened(self, path: object, options: object) -> Any:
        self.opened.append((path, options))
        return type("Source", (), {"warnings": [], "open": lambda _: self.connected.append(path)})()

    def _played(self, *given: object) -> Any:
        self.played.append(given[1:])
        return given[0]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    return Handed(monkeypatch)


def test_run_hands_every_option_of_its_input_on(handed: Handed) -> None:
    which = ["--start", "4", "--end", "90", "--stride", "2", "--max-frames", "30", "--topic", "/cam", "--fps", "12.5"]
    assert run.run_run(parse(["run", "some/film.mp4", "--source", "video", *which, *OF_BOTH])) == 7
    expected = SourceOptions("video", Path("c.json"), Path("t.txt"), 4, 90, 2, 30, "/cam", 12.5, 3)
    assert handed.opened == [(Path("some/film.mp4"), expected)]
    assert handed.rest == ("some/film.mp4", "film")
    assert handed.played == [], "it waits for nothing unless it is told to"


def test_run_uses_its_input_at_its_own_times_where_it_is_told_to(handed: Handed) -> None:
    run.run_run(parse(["run", "film.mp4", "--realtime"]))
    assert handed.played == [()]


@pytest.mark.parametrize("cores", [1, 2])
def test_run_uses_as_many_cores_as_it_is_told(handed: Handed, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    allowed: list[int] = []
    monkeypatch.setattr(beside, "allow", allowed.append)
    run.run_run(parse(["run", "x", "--cores", str(cores)]))
    assert allowed == [cores]


@pytest.mark.parametrize("cores", [0, 3, -1])
def test_no_other_number_of_cores_is_taken(handed: Handed, cores: int) -> None:
    with pytest.raises(ConfigError, match=f"--cores {cores}: give 1 or 2"):
        run.run_run(parse(["run", "x", "--cores", str(cores)]))
    assert handed.opened == []


@pytest.mark.parametrize("every_frame", [False, True])
def test_live_hands_every_option_of_its_stream_on(handed: Handed, tmp_path: Path, every_frame: bool) -> None:
    recording = tmp_path / "film.mp4"
    recording.touch()
    of_live = ["--give-up-s", "5", "--max-frames", "30", "--duration-s", "2.5", *(["--every-frame"] * every_frame)]
    expected = LiveOptions(Path("c.json"), every_frame, 5.0, 30, 2.5, stream=3)
    address = "rtsp://user:word@there/x"
    assert live.run_live(parse(["live", address, "--calib", "c.json", "--stream", "3", *of_live])) == 7
    assert handed.opened == [(address, expected)]
    assert handed.connected == [address]
    assert handed.rest[:2] == ("rtsp://there/x", "live"), "the password is for nobody"
    live.run_live(parse(["live", str(recording), *OF_BOTH, *of_live]))
    assert handed.opened[1:] == [(recording, SourceOptions(calib=Path("c.json"), truth=Path("t.txt"), stream=3))]
    assert handed.played == [(expected,)]


@pytest.mark.parametrize("words", [
    ["--max-frames", "0"], ["--max-frames", "-2"], ["--duration-s", "0"], ["--duration-s", "nan"], ["--stream", "-1"],
    ["--metrics-port", "70000"], ["--poses", "nowhere://x"],
])  # fmt: skip
def test_live_connects_to_nothing_with_options_that_cannot_be(handed: Handed, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=words[0].strip("-")[:6]):
        live.run_live(parse(["live", "rtsp://there/x", *words]))
    assert handed.opened == []


def test_live_looks_for_a_recording_where_the_address_is_none_of_a_stream(handed: Handed) -> None:
    with pytest.raises(live.InputError, match=r"nothing\.mp4: neither a live source nor a file"):
        live.run_live(parse(["live", "nothing.mp4"]))


def test_live_takes_the_settings_of_a_file_and_its_network_only_if_it_is_named_there() -> None:
    settings = run.RunArgs(path=Path("x"), network="vggt", quiet=True)
    found = live.live_defaults(settings)
    assert (found.network, found.quiet) == ("none", True)
    assert live.live_defaults(settings, {"network"}).network == "vggt"
