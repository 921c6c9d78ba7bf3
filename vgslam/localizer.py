"""Locates single images in a finished map."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry.camera import Camera
from vgslam.map.enlarged import tracked_camera
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.localization import Localization
from vgslam.reloc.places import Places
from vgslam.reloc.proposal import PoseProposer
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.store.open import load_map

__all__ = ["Localization", "Localizer"]


class Localizer:
    """Poses of images in a map, without any guess; the map stays as it is.

    slam_map: a map, or the folder of a saved one (MapError if it cannot be opened). camera: camera of the images; the
    default is that of the frames that the map was made of. proposer: a network that proposes poses too; none is needed.
    Raises InputError for a map without keyframes.
    """

    def __init__(
        self, slam_map: SlamMap | Path | str, camera: Camera | None = None, config: RelocalizerConfig | None = None,
        proposer: PoseProposer | None = None,
    ) -> None:  # fmt: skip
        m = slam_map if isinstance(slam_map, SlamMap) else load_map(Path(slam_map))
        if not m.keyframes:
            raise InputError("the map has no keyframes: nothing can be found in it")
        self.map, self.camera = m, (camera or m.keyframes[-1].camera).of_frames
        features = TrackerConfig().features
        self.relocalizer = Relocalizer(m, Places(m), features, config, proposer)
        self._tracker = Tracker(tracked_camera(self.camera, m), m, TrackerConfig())

    def locate(self, image: npt.NDArray[np.uint8], method: str | None = None) -> Localization | None:
        """Where the camera took an undistorted RGB image (H,W,3) uint8: T_world_cam in the map's world and units, with
        trust. None if nothing is found; see `accepts` for whether an answer may be used.

        method: `pnp`, or one of the proposer's; the default takes whichever answers. Raises InputError for an image
        that is not of the camera's size.
        """
        size = (self.camera.height, self.camera.width)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"an image must be (H,W,3) uint8 RGB, got {image.shape} {image.dtype}")
        if image.shape[:2] != size:
            raise InputError(f"the image is {image.shape[1]}x{image.shape[0]}, its camera {size[1]}x{size[0]}; "
                             "give the camera of the image or resize it")  # fmt: skip
        view = self._tracker.view(-1, 0.0, image)
        if method is not None:
            return self.relocalizer.by_method(view, self._tracker.camera, method)
        return self.relocalizer.locate(view, self._tracker.camera)

    def accepts(self, answer: Localization | None) -> bool:
        """Whether an answer is trusted enough to be used, and not ambiguous."""
        return self.relocalizer.accepts(answer)
