"""A pose sink: lines of JSON in a file."""

from vgslam.poses_out.frame_pose import FramePose


class _RecordSink:
    n_dropped = 0
    failure = None

    def __init__(self, path: str) -> None:
        self.where = f"poses are recorded in {path}"
        self._file = open(path, "w")  # noqa: SIM115

    def send(self, pose: FramePose) -> None:
        self._file.write(pose.to_json() + "\n")

    def close(self) -> None:
        self._file.close()


def open_record(path: str) -> _RecordSink:
    return _RecordSink(path)
