"""Print the pose of each frame of a stream (rtsp://..., http://..., a camera's number, a recording) as it happens.

python examples/live_poses.py ADDRESS CALIBRATION
"""

import sys
from pathlib import Path

from vgslam import Slam


def main(address: str, calibration: str) -> None:
    with Slam.open(address, calib=Path(calibration)) as stream:
        for pose in stream:
            if pose.has_pose:
                x, y, z = pose.position
                print(f"{pose.timestamp_s:.3f} {pose.status} {x:.3f} {y:.3f} {z:.3f}")
            else:
                print(f"{pose.timestamp_s:.3f} {pose.status}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
