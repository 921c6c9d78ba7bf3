"""Depth-Anything-3 behind the `Backbone` protocol: device, precision and memory budget are decided here, once.

Its encodings (...,9) of cameras have the numbers of `vgslam.network.pose_encoding`, but of the inverse pose: the
camera's centre and the rotation from camera to world.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.errors import ConfigError
from vgslam.geometry import se3, torch_se3
from vgslam.geometry.camera import Camera
from vgslam.network.aggregator import Chunks
from vgslam.network.backbone import (
    BackboneSpec,
    Float,
    GivenCameras,
    SceneGeometry,
    UInt8,
    check_window,
    inference,
    predicted_cameras,
)
from vgslam.network.da3.config import Da3Config
from vgslam.network.da3.loading import LoadedDa3
from vgslam.network.da3.network import HEADS, Da3Output
from vgslam.network.da3.preprocess import PUBLISHED_SIZE_PX, Da3Resize, preprocess
from vgslam.network.da3.ray_cameras import cameras_from_rays
from vgslam.network.da3.transformer import Da3Encoded, ReferenceChoice
from vgslam.network.frame_mask import FrameMask
from vgslam.network.memory import MARGIN, MemoryPlan, Workload, memory_budget, plan_memory
from vgslam.network.pose_encoding import decode_intrinsics, decode_pose, encode_pose
from vgslam.network.preprocess import NetworkImages
from vgslam.network.readout import Readout
from vgslam.network.vggt import Head


@dataclass(frozen=True)
class Da3RunOptions:
    """How a loaded network is run."""

    wanted_frames: int = 16
    """Window size to aim for, in frames."""
    memory_bytes: int | None = None
    """Budget for weights and tensors, in bytes; None: what is free."""
    size_px: int = PUBLISHED_SIZE_PX
    """Longest side of the network's images; brought to multiples of the patch size."""
    fit: Da3Resize = Da3Resize.UPPER_RESIZE
    """How images are brought to size."""
    readout: Readout = Readout.AUTO
    """Where poses come from: the camera decoder (HEAD, AUTO), or RAYS."""
    reference: ReferenceChoice = ReferenceChoice.BALANCED
    """Which view of three or more the network puts first. Results are about camera 0 whichever it is."""


@dataclass(frozen=True)
class Da3Tokens:
    """What `encode` hands to `decode`."""

    encoded: Da3Encoded
    T_first_world: Float | None = None  # (4,4): the first of the given cameras
    unit: float = 1.0  # the network's unit of length in that of the given cameras; 1 without them


class Da3Backbone:
    """Implements `Backbone[Da3Tokens]` with a loaded network, on its device. The world of the results is camera 0,
    exactly; or that of the given cameras, moved so that camera 0 is where it was given, with lengths (depth too) in
    their unit. The other poses are the network's, and near the given ones only."""

    def __init__(self, loaded: LoadedDa3, options: Da3RunOptions | None = None) -> None:
        self.network, self.weights = loaded.network, loaded.info
        self.options = options or Da3RunOptions()
        config = self.network.config
        if self.options.readout is Readout.SOLVER:
            raise ConfigError(f"{config.name} has no flow for the solver to read poses from: use --readout head")
        if self.options.size_px < config.patch_size:
            raise ConfigError(f"images of {self.options.size_px} px are smaller than a patch of {config.patch_size} px")
        self.has_rays = self.options.readout is Readout.RAYS
        if self.has_rays and not self.network.head.has_rays:
            raise ConfigError(f"{config.name} was loaded without its rays: use --readout head")
        self.device = self.network.transformer.camera_token.device
        poses_from = str(Readout.RAYS if self.has_rays else Readout.HEAD)
        self.spec = BackboneSpec(
            config.name, config.patch_size, config.n_special, HEADS, config.width, poses_from, takes_cameras=True
        )
        self._weights_bytes = sum(p.numel() * p.element_size() for p in self.network.parameters())
        self._plan = lru_cache(maxsize=8)(self._plan_for)

    def prepare(self, images: Sequence[UInt8]) -> NetworkImages:
        """By OpenCV, as the network was evaluated; images of different sizes are cropped to the smallest."""
        return preprocess(images, self.options.size_px, self.options.fit, self.network.config.patch_size)

    def max_frames(self, height_px: int, width_px: int) -> int:
        """ConfigError if not even two frames fit into the budget."""
        return self._plan(height_px, width_px).max_frames

    def encode(
        self, images: NetworkImages, want: Collection[Head], mask: FrameMask | None = None,
        given: GivenCameras | None = None,
    ) -> Da3Tokens:  # fmt: skip
        """ConfigError for more frames than fit into memory, or a mask; InputError as `PixelMap.camera_to_network`."""
        if mask is not None:
            raise ConfigError(f"{self.spec.name} takes no mask of frames: leave it out")
        plan = self._plan(*images.size)
        check_window(images, plan.max_frames)
        dtype = self.network.transformer.camera_token.dtype
        encoding, T_first_world, unit = None, None, 1.0
        if given is not None:
            cameras = [m.camera_to_network(c) for m, c in zip(images.maps, given.cameras, strict=True)]
            poses = normalise(torch.from_numpy(np.asarray(given.T_cam_world, np.float64)))
            K = torch.from_numpy(np.stack([c.K for c in cameras]))
            encoding = encode_cameras(poses.T_cam_first, K, images.size)[None].to(self.device, dtype)
            T_first_world, unit = np.asarray(given.T_cam_world[0], np.float64), poses.unit
        batch = torch.from_numpy(images.images).to(self.device, dtype, non_blocking=True)[None]
        with inference(images):
            encoded = self.network.encode(batch, self._needed(want), encoding, self.options.reference, plan.chunks)
        return Da3Tokens(encoded, T_first_world, unit)

    def decode(
        self, tokens: Da3Tokens, images: NetworkImages, want: Collection[Head], queries: Float | None = None,
        known_cameras: Sequence[Camera] | None = None,
    ) -> SceneGeometry:  # fmt: skip
        plan, is_solved = self._plan(*images.size), self.has_rays and Head.POSE in want
        with inference(images):
            out = self.network.decode(tokens.encoded, self._needed(want), is_solved, plan.chunks)
        cameras, is_valid, T = self._poses(out, images)
        if known_cameras is not None:
            cameras = tuple(m.camera_to_network(c) for m, c in zip(images.maps, known_cameras, strict=True))
            is_valid = np.ones(len(cameras), bool)
        depth = out.depth if Head.DEPTH in want else None
        return SceneGeometry(
            tokens.encoded.descriptor[0].float().cpu().numpy(), images.maps,
            None if T is None else _about_camera_0(T, tokens), cameras, is_valid,
            None if depth is None else depth[0].float().cpu().numpy() * np.float32(tokens.unit),
            None if depth is None or out.depth_confidence is None else out.depth_confidence[0].float().cpu().numpy(),
        )  # fmt: skip

    def _needed(self, want: Collection[Head]) -> frozenset[Head]:
        """The heads that have to be computed for the results in `want`."""
        return frozenset(want) | ({Head.DEPTH} if self.has_rays and Head.POSE in want else set())

    def _poses(
        self, out: Da3Output, images: NetworkImages
    ) -> tuple[tuple[Camera, ...] | None, npt.NDArray[np.bool_] | None, Float | None]:
        """Predicted cameras, whether each is usable, and T_cam_world (S,4,4) in the network's world and unit."""
        if out.pose_encoding is None:
            return None, None, None
        encoding = out.pose_encoding[0].detach().cpu().double()
        cameras, is_valid = predicted_cameras(encoding, images.size)
        T: Float = decode_cameras(encoding, images.size)[0].numpy()
        if out.rays is not None and out.ray_confidence is not None:
            found = cameras_from_rays(out.rays[0].cpu().numpy(), out.ray_confidence[0].cpu().numpy(), images.size)
            T = np.where(np.isfinite(found.T_cam_world), found.T_cam_world, T)
        return cameras, is_valid, T

    def _plan_for(self, height_px: int, width_px: int) -> MemoryPlan:
        budget = memory_budget(self.options.memory_bytes, self.device, self._weights_bytes)
        dtype = self.network.transformer.linear_dtype
        work = Da3Workload(self.network.config, height_px, width_px, dtype, self._weights_bytes, self.has_rays)
        return plan_memory(work, budget, self.options.wanted_frames)


def _about_camera_0(T_cam_world: Float, tokens: Da3Tokens) -> Float:
    """The poses with the world at camera 0, or with camera 0 where it was given and lengths in the given unit."""
    T: Float = T_cam_world @ se3.inverse(T_cam_world[0])
    T[:, :3, 3] *= tokens.unit
    return T if tokens.T_first_world is None else T @ tokens.T_first_world


MIN_TAN = 1e-6
"""Least tangent of half a field of view: zero and impossible ones get a huge focal length, never an infinite one."""
MIN_UNIT = 0.1  # least unit of length of given cameras


@dataclass(frozen=True)
class NormalisedCameras:
    """Poses of S cameras as the network is given them."""

    T_cam_first: Tensor  # (S,4,4): each camera from the first one, lengths in units of `unit`
    unit: float  # length of one of the network's units, in those of the given poses


def normalise(T_cam_world: Tensor) -> NormalisedCameras:
    """Poses T_cam_world (S,4,4) with the world at the first camera, in units of the median distance from it. The lower
    median, the first camera's 0 included, and at least MIN_UNIT: that of two cameras is always MIN_UNIT."""
    T = T_cam_world @ torch_se3.inverse(T_cam_world[:1])
    distances = torch_se3.inverse(T)[:, :3, 3].norm(dim=-1)
    unit = max(float(distances.median()), MIN_UNIT)
    scaled = T.clone()
    scaled[:, :3, 3] /= unit
    return NormalisedCameras(scaled, unit)


def encode_cameras(T_cam_world: Tensor, K: Tensor, image_size: tuple[int, int]) -> Tensor:
    """T_cam_world (...,4,4), K (...,3,3) px of images of (height, width) -> encodings (...,9), without principal
    points."""
    return encode_pose(torch_se3.inverse(T_cam_world), K, image_size)


def decode_cameras(encoding: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Encodings (...,9) -> T_cam_world (...,4,4) and K (...,3,3), principal points at (W/2, H/2)
    (`to_pixel_centres`)."""
    return torch_se3.inverse(decode_pose(encoding)), decode_intrinsics(encoding, image_size, MIN_TAN)


_N_DENSE = 4  # blocks that the dense head reads


@dataclass(frozen=True)
class Da3Workload(Workload):
    """A pass of the network with poses and depth. The widest places are the last block across views, and a pass of the
    dense head."""

    config: Da3Config
    has_rays: bool

    def bytes_needed(self, frames: int, chunks: Chunks) -> int:
        c, half, tokens = self.config, self.dtype.itemsize, frames * self.tokens
        stream, kept = tokens * c.width * 4, self._kept(frames, chunks, _N_DENSE)
        wide = self._wide(frames, chunks, c.mlp_ratio)
        joining = tokens * c.width * (4 + 3 * (chunks.cache_dtype or self.dtype).itemsize)
        blocks = 2 * stream + kept + max(3 * tokens * c.width * half + wide, joining)
        peak = max(blocks, kept + self._head_bytes(frames, chunks))
        return int(MARGIN * (self.weights_bytes + self._images(frames) + peak))

    def _head_bytes(self, frames: int, chunks: Chunks) -> int:
        """Results of the dense head and the widest moment of one pass."""
        pixels, patches, dense = self.height_px * self.width_px, self.tokens - 1, self.config.dense
        f = dense.features
        results = frames * pixels * 4 * 2
        resizing = f // 2 * (pixels + 64 * patches) + 2 * f * 16 * patches
        convolving = (f // 2 + dense.hidden + 4) * pixels
        widest = 4 * max(resizing, convolving)
        if self.has_rays:
            results += results + 2 * frames * 64 * patches * 4 * 7
            widest += 4 * f * 24 * patches
        return results + min(frames, chunks.dpt_frames) * widest
