"""Make a map of a sequence and save it; then open it again and find where photos were taken.

python examples/localize_photo.py SEQUENCE flat.vgslam PHOTO...
"""

import sys
from pathlib import Path

import cv2

from vgslam import Localizer, Slam, open_source
from vgslam.store.map_folder import MapFolder


def make_map(sequence: str, folder: str) -> None:
    source = open_source(sequence)
    if source.camera is None:
        sys.exit(f"{sequence}: has no calibration")
    slam = Slam(source.camera)
    for frame in source:
        slam.process(frame)
    slam.finish()
    with MapFolder(Path(folder)) as map_folder:
        map_folder.save(slam.map)
    print(f"{folder}: {len(slam.map.keyframes)} keyframes")


def find(folder: str, photos: list[str]) -> None:
    localizer = Localizer(folder)
    for photo in photos:
        found = localizer.locate(cv2.imread(photo)[..., ::-1])
        if localizer.accepts(found):
            x, y, z = found.T_world_cam[:3, 3]
            print(f"{photo}: taken at {x:.3f} {y:.3f} {z:.3f}, trust {found.trust:.2f}")
        else:
            print(f"{photo}: not found")


if __name__ == "__main__":
    make_map(*sys.argv[1:3])
    find(sys.argv[2], sys.argv[3:])
