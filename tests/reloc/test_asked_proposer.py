"""A proposer that is opened when it is needed, and asked less and less often while nothing comes of it."""

import numpy as np

from vgslam.frontend.asking import Desk, Reason
from vgslam.reloc.asked_proposer import MOST_SKIPPED, AskedProposer
from vgslam.reloc.proposal import Proposal, References
from vgslam.types import Camera, Image

CAMERA = Camera.from_fov(8, 8, 60.0)
IMAGE = np.zeros((8, 8, 3), np.uint8)
NOTHING = References((), np.zeros((0, 4, 4)))


class Counting:
    def __init__(self) -> None:
        self.n = 0

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        self.n += 1
        return [Proposal(np.eye(4), "counting", 0.1)]


def test_after_every_question_in_vain_twice_as_many_are_left_out() -> None:
    inner, desk = Counting(), Desk()
    opened: list[Counting] = []
    asked = AskedProposer(lambda: opened.append(inner) or inner, desk)  # type: ignore[func-returns-value]
    assert opened == []
    at = [i for i in range(200) if asked.propose(NOTHING, IMAGE, CAMERA)]
    assert at[:5] == [0, 2, 5, 10, 19]
    assert max(np.diff(at)) == MOST_SKIPPED + 1
    assert len(opened) == 1
    assert inner.n == len(at) == desk.counts[Reason.LOST].asked


def test_once_believed_it_is_asked_at_once_again() -> None:
    asked = AskedProposer(Counting, Desk())
    for _ in range(6):
        asked.propose(NOTHING, IMAGE, CAMERA)
    asked.believe()
    assert asked.propose(NOTHING, IMAGE, CAMERA)
    assert asked.desk.counts[Reason.LOST].believed == 1
