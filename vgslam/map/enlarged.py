"""Small images are enlarged before they are tracked: distances of corners, windows of optical flow and gates are in px,
and are made for images of 640x480. In images of half the size they are twice as wide as seen by the camera."""

from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam.map.pictures import PictureKind
from vgslam.map.slam_map import SlamMap

ENOUGH_PX = 640 * 480
"""Images with half as many pixels or less are small."""
LEAST_PX = 160 * 120
"""Images with fewer pixels show too little to be tracked, however large they are made."""
TIMES = 2
"""How much they are enlarged, one way: a whole number keeps pixels square, and more brings nothing to light."""

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def tracked_camera(camera: Camera, slam_map: SlamMap) -> Camera:
    """The camera of the images that are tracked, for frames of `camera`: itself where these are large enough. A map is
    gone on with in the size that it was made in."""
    if camera.enlarged > 1:
        return camera
    of_map = slam_map.keyframes[-1].camera if slam_map.keyframes else None
    if of_map is not None and (of_map.of_frames.width, of_map.of_frames.height) == (camera.width, camera.height):
        times = of_map.enlarged
    else:
        times = TIMES if LEAST_PX <= camera.width * camera.height <= ENOUGH_PX // 2 else 1
    return camera.enlarged_by(times) if times > 1 else camera


def enlarged(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture (h,w) or (h,w,3) in a larger size (width, height); itself where it has that size."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def enlarged_mask(mask: Mask | None, camera: Camera) -> Mask | None:
    """A mask (h,w) of frames for the images of the camera that is tracked; None for None."""
    return None if mask is None else mask.repeat(camera.enlarged, 0).repeat(camera.enlarged, 1)


def enlarge_alike(m: SlamMap) -> None:
    """Enlarges the images of keyframes whose frames are as large as others' that were enlarged more, with pixels and
    cameras: what is tracked and adjusted together needs one size. Maps of before frames were enlarged are so merged."""
    frames = [k.camera.of_frames for k in m.keyframes]
    most: dict[tuple[int, int], int] = {}
    for k, c in zip(m.keyframes, frames, strict=True):
        most[c.width, c.height] = max(most.get((c.width, c.height), 1), k.camera.enlarged)
    for k, c in zip(m.keyframes, frames, strict=True):
        times, before = most[c.width, c.height], k.camera
        if before.enlarged == times:
            continue
        k.camera = now = c.enlarged_by(times)
        seen = m.observed[k.id]
        by = times / before.enlarged
        m.observed[k.id] = type(seen).of(seen.ids, (seen.pixels + 0.5) * by - 0.5)
        m.pictures.change((k.id, PictureKind.IMAGE), partial(enlarged, size=(now.width, now.height)))
