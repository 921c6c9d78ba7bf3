"""Print the pose of each frame of a stream (rtsp://..., http://..., a camera's number, a recording) as it happens.

python examples/live_poses.py ADDRESS CALIBRATION

With the video of `make demo`:
python examples/live_poses.py vgslam/assets/demo/demo.mp4 vgslam/assets/demo/calib.json
"""

import sys
from pathlib import Path

from vgslam import Slam
from vgslam.errors import VgslamError


def main(address: str, calibration: str) -> None:
    with Slam.open(address, calib=Path(calibration)) as stream:
        for pose in stream:
            if pose.has_pose:
                x, y, z = pose.position
                print(f"{pose.timestamp_s:.3f} {pose.status} {x:.3f} {y:.3f} {z:.3f}")
            else:
                print(f"{pose.timestamp_s:.3f} {pose.status}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: python examples/live_poses.py ADDRESS CALIBRATION", file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except VgslamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
