"""VGGT behind the `Backbone` protocol: device, precision and memory budget are decided here, once."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from vgslam.errors import ConfigError
from vgslam.geometry.camera import Camera
from vgslam.network.aggregator import Encoded
from vgslam.network.backbone import (
    BackboneSpec,
    Float,
    GivenCameras,
    SceneGeometry,
    UInt8,
    check_window,
    geometry_from_tensors,
    inference,
)
from vgslam.network.frame_mask import FrameMask
from vgslam.network.memory import MemoryPlan, VggtWorkload, memory_budget, plan_memory
from vgslam.network.pose_encoding import decode_intrinsics, to_pixel_centres
from vgslam.network.precision import compute_dtype
from vgslam.network.preprocess import NetworkImages, ResizeMode, preprocess
from vgslam.network.readout import Readout, with_solved_poses
from vgslam.network.vggt import Head, VggtOutput
from vgslam.network.weights import LoadedVggt


@dataclass(frozen=True)
class RunOptions:
    """How a loaded network is run."""

    wanted_frames: int = 16
    """Window size to aim for, in frames."""
    memory_bytes: int | None = None
    """Budget for weights and tensors, in bytes; None: what is free."""
    resize: ResizeMode | None = None
    """How images are brought to size; None: as the network was trained."""
    heads: frozenset[Head] = field(default_factory=lambda: frozenset({Head.POSE, Head.DEPTH}))
    """Heads that the plan makes room for."""
    readout: Readout = Readout.AUTO
    """Where poses come from."""


class VggtBackbone:
    """Implements `Backbone[Encoded]` with a loaded `Vggt`, which stays on the device that it was loaded to."""

    def __init__(self, loaded: LoadedVggt, options: RunOptions | None = None) -> None:
        self.model, self.weights = loaded.model, loaded.info
        self.options = options or RunOptions()
        config = self.model.config
        self.readout = _readout(self.options.readout, self.model.heads)
        self.device = self.model.aggregator.camera_token.device
        heads = self.model.heads
        self.spec = BackboneSpec(
            "vggt", config.patch_size, config.n_special, heads, config.width, str(self.readout)
        )  # fmt: skip
        self._weights_bytes = sum(p.numel() * p.element_size() for p in self.model.parameters())
        self._plan = lru_cache(maxsize=8)(self._plan_for)

    def prepare(self, images: Sequence[UInt8]) -> NetworkImages:
        """At the width (the published networks: the original's crop mode) or area that the network was trained at."""
        config = self.model.config
        mode = self.options.resize or (ResizeMode.AREA if config.keeps_area else ResizeMode.CROP)
        return preprocess(images, mode, config.image_size, config.patch_size)

    def max_frames(self, height_px: int, width_px: int) -> int:
        """ConfigError if not even two frames fit into the budget."""
        return self._plan(height_px, width_px).max_frames

    def encode(
        self, images: NetworkImages, want: Collection[Head], mask: FrameMask | None = None,
        given: GivenCameras | None = None,
    ) -> Encoded:  # fmt: skip
        """ConfigError for more frames than fit into memory. This network takes no cameras: `given` changes nothing."""
        plan = self._plan(*images.size)
        check_window(images, plan.max_frames)
        dtype = self.model.aggregator.camera_token.dtype
        batch = torch.from_numpy(images.images).to(self.device, dtype, non_blocking=True)[None]
        with inference(images):
            return self.model.encode(batch, self._needed(want), mask, plan.chunks)

    def decode(
        self, tokens: Encoded, images: NetworkImages, want: Collection[Head], queries: Float | None = None,
        known_cameras: Sequence[Camera] | None = None,
    ) -> SceneGeometry:  # fmt: skip
        plan = self._plan(*images.size)
        points = None if queries is None else torch.from_numpy(queries).to(self.device, tokens.descriptor.dtype)
        with inference(images):
            out = self.model.decode(tokens, self._needed(want), points, plan.chunks)
            if self.readout is Readout.SOLVER and Head.POSE in want:
                out = with_solved_poses(out, self._intrinsics(out, images, known_cameras))
        if self.model.config.depth_precision and out.depth_confidence is not None:
            out = replace(out, depth_confidence=common_confidence(out.depth_confidence))
        return geometry_from_tensors(out, tokens.descriptor, images, known_cameras)

    def _needed(self, want: Collection[Head]) -> frozenset[Head]:
        """The heads that have to be computed for the results in `want`."""
        solver = {Head.DEPTH, Head.FLOW} if self.readout is Readout.SOLVER and Head.POSE in want else set()
        return frozenset(want) | solver

    def _intrinsics(self, out: VggtOutput, images: NetworkImages, known: Sequence[Camera] | None) -> torch.Tensor:
        """K (1,3,3) of the network's images: the first frame's."""
        if known is not None:
            K = torch.from_numpy(images.maps[0].camera_to_network(known[0]).K)
        else:
            assert out.pose_encoding is not None
            K = to_pixel_centres(decode_intrinsics(out.pose_encoding[0, 0].double(), images.size))
        return K.to(self.device)[None]

    def _plan_for(self, height_px: int, width_px: int) -> MemoryPlan:
        budget = memory_budget(self.options.memory_bytes, self.device, self._weights_bytes)
        config, heads = self.model.config, self.options.heads & self.model.heads
        work = VggtWorkload(config, height_px, width_px, compute_dtype(self.model), self._weights_bytes, heads)
        return plan_memory(work, budget, self.options.wanted_frames)


def _readout(wanted: Readout, heads: frozenset[Head]) -> Readout:
    """ConfigError for the solver with a network that has no flow."""
    if wanted is Readout.RAYS:
        raise ConfigError("this network predicts no rays to read poses from: use --readout head")
    can_solve = {Head.POSE, Head.DEPTH, Head.FLOW} <= heads
    if wanted is Readout.SOLVER and not can_solve:
        raise ConfigError("this network has no flow for the solver to read poses from: use --readout head")
    return Readout.SOLVER if can_solve and wanted is not Readout.HEAD else Readout.HEAD


UNCONFIDENT_DEVIATION = 0.3  # relative deviation of depth with the least confidence, 1


def laplace_scale(confidence: Tensor, is_precision: bool) -> Tensor:
    """Laplace scale of the error of log depth for confidences > 1 (...); is_precision: `VggtConfig.depth_precision`."""
    return 1 / confidence if is_precision else UNCONFIDENT_DEVIATION / math.sqrt(2) / confidence


def common_confidence(precision: Tensor) -> Tensor:
    """The confidence c (...), at least 1, of a `precision` (...): whoever uses depth reads c as a relative deviation of
    UNCONFIDENT_DEVIATION / c, and that of a Laplace distribution of scale 1 / precision is sqrt(2) / precision."""
    return (UNCONFIDENT_DEVIATION / math.sqrt(2) * precision).clamp(min=1.0)
