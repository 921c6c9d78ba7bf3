"""Where poses go."""

from typing import Protocol

from vgslam.poses_out.frame_pose import FramePose


class PoseSink(Protocol):
    """Takes poses as they happen.

    `send` returns at once, whatever the reader does; what a reader is too slow for is left out and counted in
    `n_dropped`. `close` waits a moment for what is under way; safe to call twice. `where` says, in one line, where the
    poses are to be had; empty where that is clear. `failure` says, in one line, why none are sent there any more; None
    while all is well.
    """

    where: str
    n_dropped: int
    failure: str | None

    def send(self, pose: FramePose) -> None: ...

    def close(self) -> None: ...
