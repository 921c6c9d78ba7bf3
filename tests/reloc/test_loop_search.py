"""The search beside the tracking: one keyframe at a time, nothing lost, errors heard."""

import threading
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from waiting import HANG_S

from vgslam import beside
from vgslam.map.pictures import PictureKind, Pictures
from vgslam.reloc.loop_search import LoopSearch
from vgslam.reloc.loops import Meeting
from vgslam.session.open_system import config_for
from vgslam.session.tracking_args import TrackingArgs
from vgslam.sources.live_open import in_real_time
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"


def test_one_search_at_a_time_and_every_result_is_taken_once() -> None:
    may_end, asked = threading.Event(), []

    def find(k: int) -> list[Meeting]:
        asked.append(k)
        assert may_end.wait(HANG_S)
        return [f"meeting {k}"]  # type: ignore[list-item]

    search = LoopSearch(find, is_waited_for=False)
    search.start(3)
    assert search.take() == [], "still under way"
    search.start(4)
    search.start(5)
    may_end.set()
    assert search.wait() == ["meeting 3"]
    assert search.wait() == []
    assert search.take() == []
    search.start(6)
    assert search.wait() == ["meeting 6"]
    assert asked == [3, 6], "those that came while it was busy are left out"
    assert search.cpu_s >= 0.0


def test_a_search_that_is_waited_for_is_taken_when_it_has_ended_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end, taken = threading.Event(), list[list[Meeting]]()

    def find(k: int) -> list[Meeting]:
        assert may_end.wait(HANG_S)
        return [f"meeting {k}"]  # type: ignore[list-item]

    search = LoopSearch(find, is_waited_for=True)
    assert not search.is_under_way
    assert search.take() == [], "none was started"
    monkeypatch.setattr(beside, "_n_cores", 2)
    search.start(3)
    assert search.is_under_way
    taker = threading.Thread(target=lambda: taken.append(search.take()))
    taker.start()
    assert taken == []
    may_end.set()
    taker.join(HANG_S)
    assert taken == [["meeting 3"]]
    assert not search.is_under_way


def test_without_a_second_core_the_search_is_made_by_who_takes_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_n_cores", 1)
    by: list[threading.Thread] = []

    def find(k: int) -> list[Meeting]:
        by.append(threading.current_thread())
        return []

    search = LoopSearch(find, is_waited_for=True)
    search.start(3)
    assert by == []
    search.take()
    assert by == [threading.main_thread()]


def test_an_error_of_the_search_reaches_who_takes_its_result() -> None:
    def find(k: int) -> list[Meeting]:
        raise RuntimeError(f"keyframe {k}")

    search = LoopSearch(find, is_waited_for=True)
    search.start(7)
    with pytest.raises(RuntimeError, match="keyframe 7"):
        search.wait()
    assert search.wait() == [], "and only once"


def test_pictures_may_be_asked_by_two_threads_at_once() -> None:
    """A budget of three pictures and two readers of eight: each gets what was put in, and the budget holds."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (24, 32, 3), dtype=np.uint8) for _ in range(8)]
    pictures = Pictures(3 * images[0].nbytes)
    for k, image in enumerate(images):
        pictures.put((k, PictureKind.IMAGE), image)
    wrong: list[int] = []

    def read(seed: int) -> None:
        order = np.random.default_rng(seed).integers(0, 8, 300)
        wrong.extend(int(k) for k in order if not np.array_equal(pictures.get((int(k), PictureKind.IMAGE)), images[k]))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in (1, 2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong
    assert pictures.resident_bytes <= pictures.budget_bytes
    assert pictures.resident_bytes == sum(p.nbytes for p in pictures._resident.values())


def test_the_setting_is_for_live_sources_alone() -> None:
    recorded = open_source(DEMO / "demo.mp4", SourceOptions(calib=DEMO / "calib.json"))
    metric = TrackingArgs(metric=True).slam_config()
    assert not config_for(recorded, metric).loops.in_background
    found = config_for(in_real_time(recorded), metric)
    assert found.loops.in_background
    assert found.loops.is_metric
