"""Videos for `python -m bench adapt`: of a domain that the network never saw, and of those that it was trained on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.adapt.windows import Window, make_window
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.network.config import VggtConfig
from vgslam_train.data.windows import WindowBatch
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.sequences import Sequence, Shot, film
from vgslam_train.worlds.trajectories import trajectory

BLOCK = 12  # frames of a block: blocks are trained on, watched by the adapter, or measured; no window spans two of them
N_FRAMES = 4


@dataclass(frozen=True)
class Domain:
    """How a video is made: see `render_sequence`. roll_deg: how far the camera is mounted turned about
    its optical axis."""

    kind: str
    motion: str
    fov_deg: float
    rate_hz: float
    roll_deg: float = 0.0
    width: int = 320

    def film(self, seed: int, n_frames: int) -> Sequence:
        world = generate(self.kind, seed)
        T_world_cam = trajectory(self.motion, n_frames, seed, world.free, self.rate_hz) @ _rolled(self.roll_deg)
        camera = Camera.from_fov(self.width, self.width * 3 // 4, self.fov_deg)
        return film(world, T_world_cam, camera, Shot(rate_hz=self.rate_hz, supersample=1))


def _rolled(angle_deg: float) -> npt.NDArray[np.float64]:
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


SHIFTED = {
    "side": Domain("hills", "drone", 70.0, 5.0, roll_deg=90.0),
    "wide": Domain("hills", "drone", 115.0, 5.0),
}
"""Hills were never trained on. side: nor was a camera that is mounted on its side. wide: nor so wide a lens."""
ORIGINAL = (
    Domain("room", "walk", 70.0, 8.0, width=160),
    Domain("clutter", "orbit", 70.0, 8.0, width=160),
    Domain("street", "drive", 70.0, 8.0, width=160),
)
FIRST_SEED = 900_000  # worlds from here on: beyond those of training and of its validation
SHIFTED_SEED = FIRST_SEED + 10_000
"""The first seed of the shifted worlds: not the home's, and none that settings were chosen on."""


@dataclass(frozen=True)
class Split:
    """Windows of a video: to train on, for the adapter to hold back, and the truth of those that it never sees."""

    training: list[Window]
    held_back: list[Window]
    unseen: WindowBatch


def split(video: Sequence, network: VggtConfig) -> Split:
    """Splits a video into blocks: the second of every three is never seen; the adapter holds back every sixth."""
    training, held_back, unseen = [], [], []
    for block in range(len(video) // BLOCK):
        if block % 3 == 1:
            unseen += windows(video, network, block, 2, 1)
        elif block % 6 == 3:
            held_back += windows(video, network, block, 1, 1)
        else:
            training += windows(video, network, block, 1, 1) + windows(video, network, block, 1, 2)
    return Split(training, held_back, with_truth(video, unseen))


def windows(video: Sequence, network: VggtConfig, block: int, step: int, stride: int) -> list[Window]:
    """The usable ones of a block."""
    found = []
    for k in range(block * BLOCK, block * BLOCK + BLOCK - (N_FRAMES - 1) * stride, step):
        ids = [k + i * stride for i in range(N_FRAMES)]
        made = make_window([video.images[i] for i in ids], ids, video.camera, network)
        if isinstance(made, Window):
            found.append(made)
    return found


def with_truth(video: Sequence, chosen: list[Window]) -> WindowBatch:
    """The windows with the video's own depth, at the pixel centres of the network's images, and poses."""
    import torch

    height, width = chosen[0].images.shape[-2:]
    v = np.rint((np.arange(height) + 0.5) * video.camera.height / height - 0.5).astype(int)
    u = np.rint((np.arange(width) + 0.5) * video.camera.width / width - 0.5).astype(int)
    depth, poses = [], []
    for window in chosen:
        ids = list(window.frame_ids)
        z = video.depth[ids][:, v][:, :, u]
        depth.append(np.where(np.isfinite(z), z, 0.0))
        T = video.T_world_cam[ids]
        poses.append(se3.inverse(T[:1]) @ T)
    images, K = torch.stack([w.images for w in chosen]), torch.stack([w.K for w in chosen]).double()
    return WindowBatch(images, torch.from_numpy(np.stack(depth)), torch.from_numpy(np.stack(poses)), K)


def original_windows(network: VggtConfig) -> WindowBatch:
    """Windows of worlds of the kinds that were trained on, with an ordinary lens."""
    import torch

    batches = []
    for i, domain in enumerate(ORIGINAL):
        video = domain.film(FIRST_SEED + 500 + i, 2 * BLOCK)
        chosen = [w for block in range(2) for w in windows(video, network, block, 1, 1)]
        if chosen:
            batches.append(with_truth(video, chosen))
    return WindowBatch(*(torch.cat([getattr(b, x) for b in batches]) for x in ("images", "depth", "T_world_cam", "K")))
