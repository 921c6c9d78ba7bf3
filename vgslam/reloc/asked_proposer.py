"""A proposer of poses, opened when a lost camera is found by nothing else, and asked less often while it fails."""

from collections.abc import Callable

from vgslam.frontend.asking import Desk, Reason
from vgslam.geometry.camera import Camera
from vgslam.reloc.backoff import Backoff
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
