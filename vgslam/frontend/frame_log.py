"""The rows of a run, one for each frame; some are kept back until later frames decide."""

from dataclasses import replace

from vgslam.map.slam_map import SlamMap
from vgslam.types import PoseEstimate, Status


class FrameLog:
    """The rows of one run at the end of `slam_map.frames`. Frame ids count up from `first_id` without gaps. A frame in
    doubt is UNSURE, with the row that it gets if later frames are sure."""

    def __init__(self, slam_map: SlamMap) -> None:
        self._map = slam_map
        self.first_id = 1 + max((f.frame_id for f in slam_map.frames), default=-1)
        self._first_row = len(slam_map.frames)
        self._kept_back: list[tuple[int, PoseEstimate | None]] = []

    @property
    def next_id(self) -> int:
        """Id of the frame that comes next."""
        return self.first_id + len(self._map.frames) - self._first_row

    @property
    def newest(self) -> PoseEstimate:
        return self._map.frames[-1]

    def __getitem__(self, frame_id: int) -> PoseEstimate:
        return self._map.frames[self._first_row + frame_id - self.first_id]

    def append(self, estimate: PoseEstimate) -> None:
        """Begin the next frame's row. Raises ValueError for any other frame."""
        if estimate.frame_id != self.next_id:
            raise ValueError(
                f"frame {estimate.frame_id} out of turn: ids count up from {self.first_id} without gaps"
            )
        self._map.frames.append(estimate)

    def set(self, estimate: PoseEstimate) -> None:
        """Replace what is known of a frame."""
        self._map.frames[self._first_row + estimate.frame_id - self.first_id] = estimate

    def keep_back(self, frame_id: int, timestamp_s: float, estimate: PoseEstimate | None) -> None:
        """The frame is UNSURE. estimate: its pose if later frames are sure, None if it will be LOST even then."""
        self._kept_back.append((frame_id, estimate))
        self.set(PoseEstimate(frame_id, timestamp_s, Status.UNSURE))

    def tell(self) -> None:
        """Later frames are sure: what was kept back holds."""
        for frame_id, estimate in self._kept_back:
            self.set(estimate or replace(self[frame_id], status=Status.LOST))
        self._kept_back = []

    def drop(self) -> None:
        """The frames in doubt stay without a pose."""
        for frame_id, _ in self._kept_back:
            self.set(replace(self[frame_id], status=Status.LOST))
        self._kept_back = []
