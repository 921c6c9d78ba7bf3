"""Make a map of a sequence and save it; then open it again and find where photos were taken.

python examples/localize_photo.py SEQUENCE CALIBRATION flat.vgslam PHOTO...

CALIBRATION is a file, or `-` for a sequence that has its own. The photos are of the same camera. With the video of
`make demo`, and one of its frames as the photo:
ffmpeg -ss 3 -i vgslam/assets/demo/demo.mp4 -frames:v 1 photo.png
python examples/localize_photo.py vgslam/assets/demo/demo.mp4 vgslam/assets/demo/calib.json room.vgslam photo.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vgslam import Localizer, Slam, open_source
from vgslam.errors import InputError, VgslamError
from vgslam.sources import SourceOptions
from vgslam.store.map_folder import MapFolder


def make_map(sequence: str, calibration: str, folder: str) -> None:
    source = open_source(sequence, SourceOptions(calib=None if calibration == "-" else Path(calibration)))
    if source.camera is None:
        raise InputError(f"{sequence}: has no calibration; give a file")
    slam = Slam(source.camera)
    for frame in source:
        slam.process(frame)
    slam.finish()
    with MapFolder(Path(folder)) as map_folder:
        map_folder.save(slam.map)
    print(f"{folder}: {len(slam.map.keyframes)} keyframes")


def load(photo: str) -> np.ndarray:
    """RGB pixels, upright."""
    try:
        with Image.open(photo) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError) as error:
        raise InputError(f"{photo}: is no image that can be read ({error})") from error


def find(folder: str, photos: dict[str, np.ndarray]) -> None:
    localizer = Localizer(folder)
    for name, pixels in photos.items():
        found = localizer.locate(pixels)
        if found is not None and localizer.accepts(found):
            x, y, z = found.T_world_cam[:3, 3]
            print(f"{name}: taken at {x:.3f} {y:.3f} {z:.3f}, trust {found.trust:.2f}")
        else:
            print(f"{name}: not found")


def main(sequence: str, calibration: str, folder: str, *photos: str) -> None:
    images = {photo: load(photo) for photo in photos}
    make_map(sequence, calibration, folder)
    find(folder, images)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print("usage: python examples/localize_photo.py SEQUENCE CALIBRATION|- MAP PHOTO...", file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except VgslamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
