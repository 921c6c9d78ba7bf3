"""Track a video, or a folder of images, and write a TUM file of its camera poses.

python examples/track_video.py VIDEO poses.tum [CALIBRATION | HORIZONTAL_FIELD_OF_VIEW_IN_DEGREES]

Without the third, the camera is estimated from the first frames. With the video of `make demo`:
python examples/track_video.py vgslam/assets/demo/demo.mp4 poses.tum vgslam/assets/demo/calib.json
"""

import sys
from pathlib import Path

from vgslam import Camera, Slam, estimate_camera, open_source
from vgslam.errors import InputError, VgslamError
from vgslam.sources import SourceOptions, write_trajectory

USAGE = "usage: python examples/track_video.py VIDEO OUT.tum [CALIBRATION | FIELD_OF_VIEW_IN_DEGREES]"


def main(video: str, out: str, calibration: Path | None = None, fov_deg: float | None = None) -> None:
    source = open_source(video, SourceOptions(calib=calibration))
    camera = source.camera
    if camera is None and fov_deg is not None:
        height, width = next(iter(source)).image.shape[:2]
        camera = Camera.from_fov(width, height, fov_deg)
    slam = Slam(camera or estimate_camera(source).camera)
    for frame in source:
        slam.process(frame)
    slam.finish()
    trajectory = slam.map.trajectory()
    write_trajectory(out, trajectory)
    print(f"{len(trajectory)} of {len(slam.map.frames)} frames have a pose: {out}")


def from_words(video: str, out: str, camera: str | None = None) -> None:
    """The words of the command line; a number is a field of view."""
    if camera is None:
        return main(video, out)
    try:
        fov_deg = float(camera)
    except ValueError:
        return main(video, out, calibration=Path(camera))
    if not 5.0 < fov_deg < 170.0:
        raise InputError(f"the field of view must be between 5 and 170 degrees, got {camera}")
    return main(video, out, fov_deg=fov_deg)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    try:
        from_words(*sys.argv[1:])
    except VgslamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
