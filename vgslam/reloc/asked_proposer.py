"""A proposer of poses, opened when a lost camera is found by nothing else, and asked less often while it fails."""

from collections.abc import Callable

from vgslam.frontend.asking import Desk, Reason
from vgslam.geometry.camera import Camera
from vgslam.reloc.proposal import PoseProposer, Proposal, References
from vgslam.types import Image


class AskedProposer:
    """Implements `PoseProposer` at a desk. After each question that nothing came of, twice as many are left out."""

    def __init__(self, open_proposer: Callable[[], PoseProposer], desk: Desk) -> None:
        self._open, self.desk = open_proposer, desk
        self._proposer: PoseProposer | None = None
        self._backoff = Backoff()  # each question costs as much as tracking dozens of frames

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        """See `PoseProposer`. Beside the frames, the proposals of an earlier image of the lost camera."""
        if not self._backoff.is_due():
            return []
        answer = self.desk.ask(Reason.LOST, None, lambda: self.proposer.propose(references, image, camera) or None)
        if answer is not None or not self.desk.is_beside:
            self._backoff.ended(False)
        return [] if answer is None else answer.value

    def believe(self) -> None:
        """The map has confirmed a proposal."""
        self._backoff.ended(True)
        self.desk.believe(Reason.LOST)

    @property
    def proposer(self) -> PoseProposer:
        """The proposer itself, opened."""
        if self._proposer is None:
            self._proposer = self._open()
        return self._proposer


MOST_SKIPPED = 32
"""Most attempts that are left out after one that failed."""


class Backoff:
    """After each attempt that failed, twice as many are left out, up to `most_skipped`; 0 leaves none out."""

    def __init__(self, most_skipped: int = MOST_SKIPPED) -> None:
        self.most_skipped = most_skipped
        self._wait, self._skipped = 0, 0

    def is_due(self) -> bool:
        """Whether to make an attempt now. Each question counts as one attempt, made or left out."""
        if self._skipped < self._wait:
            self._skipped += 1
            return False
        return True

    def ended(self, has_helped: bool) -> None:
        """An attempt was made. After one that helped, the next is made at once."""
        self._wait, self._skipped = 0 if has_helped else min(max(1, 2 * self._wait), self.most_skipped), 0
