"""Track a video, or a folder of images, and write a TUM file of its camera poses.

python examples/track_video.py VIDEO poses.tum [HORIZONTAL_FIELD_OF_VIEW_IN_DEGREES]
"""

import sys

from vgslam import Camera, Slam, open_source
from vgslam.sources import write_trajectory


def main(video: str, out: str, fov_deg: float = 65.0) -> None:
    source = open_source(video)
    height, width = next(iter(source)).image.shape[:2]
    slam = Slam(source.camera or Camera.from_fov(width, height, fov_deg))
    for frame in source:
        slam.process(frame)
    slam.finish()
    trajectory = slam.map.trajectory()
    write_trajectory(out, trajectory)
    print(f"{len(trajectory)} of {len(slam.map.frames)} frames have a pose: {out}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:4]))
