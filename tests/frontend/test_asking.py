"""A network at a desk: opened at the first question, counted, in line or beside the frames, given up when it fails."""

import threading
from dataclasses import dataclass, field

import numpy as np
from waiting import HANG_S

from vgslam.errors import WeightsError
from vgslam.frontend.asking import Answer, AskedGuide, Desk, Reason
from vgslam.frontend.guide import VggtUse
from vgslam.types import Camera, WindowInput, WindowPrediction

WINDOW = WindowInput(np.array([4]), [np.zeros((8, 8, 3), np.uint8)], Camera.from_fov(8, 8, 60.0))


@dataclass
class Silent:
    """A guide that has nothing to say and remembers what it was asked."""

    use: VggtUse = field(default_factory=VggtUse)
    notes: list[str] = field(default_factory=lambda: ["silent"])
    seen: list[int] = field(default_factory=list)

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        self.seen += window.frame_ids.tolist()
        return None


def test_it_is_opened_at_the_first_question_and_only_once() -> None:
    opened: list[Silent] = []

    def open_guide() -> Silent:
        opened.append(Silent())
        return opened[-1]

    guide = AskedGuide(open_guide, VggtUse())
    assert opened == []
    assert guide.predict(Reason.START, 4, WINDOW) is None
    assert guide.predict_now(Reason.DEPTH, 4, WINDOW) is None
    assert [g.seen for g in opened] == [[4, 4]]
    assert (guide.desk.counts[Reason.START].asked, guide.desk.counts[Reason.DEPTH].asked) == (1, 1)


def test_a_guide_that_is_open_already_gets_a_desk_and_keeps_its_notes() -> None:
    mine = Silent()
    asked = AskedGuide.of(mine)
    assert asked.guide is mine
    assert asked.notes == ["silent"]
    assert AskedGuide.of(asked) is asked


def test_in_line_an_answer_is_there_at_once_and_named_after_its_question() -> None:
    desk = Desk()
    assert desk.ask(Reason.LOST, 7, lambda: "here") == Answer(7, "here")
    assert desk.ask(Reason.LOST, 8, lambda: None) is None
    desk.believe(Reason.LOST)
    said = desk.report()
    assert said["asked"] == {"lost": {"asked": 2, "believed": 1, "late": 0}}
    assert (said["n_asked"], said["n_believed"], said["trouble"]) == (2, 1, None)
    assert said["line"].startswith("network: asked 2 times (lost 2), believed 1 times; ")
    assert Desk().line().startswith("network: not asked")


class Beside:
    """A desk whose answers come when they are let go."""

    def __init__(self) -> None:
        self.desk, self.go = Desk(is_beside=True), threading.Event()

    def ask(self, reason: Reason, about: int) -> Answer[int] | None:
        def work() -> int:
            assert self.go.wait(HANG_S)
            return about

        return self.desk.ask(reason, about, work)

    def let_go(self) -> None:
        self.go.set()
        assert self.desk._pending is not None
        self.desk._pending[2].result(HANG_S)


def test_beside_the_frames_nobody_waits_and_a_later_question_finds_the_answer() -> None:
    beside = Beside()
    assert beside.ask(Reason.START, 1) is None
    assert beside.ask(Reason.START, 2) is None, "the first is being answered: nothing else is asked"
    assert beside.desk.counts[Reason.START].asked == 1
    beside.let_go()
    assert beside.ask(Reason.START, 3) == Answer(1, 1)
    assert beside.desk.counts[Reason.START].asked == 1
    beside.desk.close()


def test_beside_the_frames_an_answer_to_another_question_is_dropped() -> None:
    beside = Beside()
    assert beside.ask(Reason.START, 1) is None
    beside.let_go()
    assert beside.ask(Reason.LOST, 2) is None
    assert beside.desk.counts[Reason.START].late == 1
    assert beside.desk.counts[Reason.LOST].asked == 1
    beside.let_go()
    assert beside.ask(Reason.LOST, 3) == Answer(2, 2)
    beside.desk.close()


def test_a_network_that_cannot_be_opened_is_noted_and_never_asked_again() -> None:
    tried = []

    def fail() -> Silent:
        tried.append(1)
        raise WeightsError("weights.safetensors: these weights do not fit the network")

    guide = AskedGuide(fail, VggtUse())
    assert guide.predict(Reason.START, 1, WINDOW) is None
    assert guide.predict(Reason.LOST, 2, WINDOW) is None
    assert guide.predict_now(Reason.DEPTH, 3, WINDOW) is None
    assert len(tried) == 1
    assert guide.desk.n_asked == 1
    [note] = guide.notes
    assert "do not fit" in note
    assert "went on without it" in note
    assert "do not fit" in guide.desk.report()["trouble"]
