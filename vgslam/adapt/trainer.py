"""Rounds of training on a copy of the network, with averaged weights, on windows mirrored and in other light."""

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor, nn

from vgslam.adapt.bundle import SparseGeometry, in_unit_of, reconstruct
from vgslam.adapt.losses import (
    LossConfig,
    correction_smoothness,
    flow_match_loss,
    pose_loss,
    sparse_depth_loss,
    window_loss,
)
from vgslam.adapt.rehearsal import Memory, rehearsal_loss, remember
from vgslam.adapt.served import SERVED, guess
from vgslam.adapt.windows import Array, Window
from vgslam.network.lora import ATTENTION, MLP, LoraConfig, adapters, add_lora
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import CELL_PX, relative_to_first
from vgslam.network.vggt import Vggt

State = dict[str, Tensor]
Familiar = Callable[[], Sequence[Tensor]]
SIGMA_MATCH_PX = 0.5  # deviation of a matched point in the images that were matched


class Trainable(StrEnum):
    """LORA: adapters beside linear layers; HEADS: camera, depth and flow head; ALL: all but the encoder."""

    LORA = "lora"
    HEADS = "heads"
    ALL = "all"


WARM_UP = 10  # steps of a round until the learning rate is reached
HEADS = ("camera_head.", "depth_head.", "flow_head.")
ADAPTED = LoraConfig(
    rank=16, alpha=32.0, layers=(*ATTENTION, *MLP, "hidden", "out", "cell"),
    within=("aggregator.frame_blocks", "aggregator.global_blocks", "aggregator.matching", "camera_head", "flow_head"),
)  # fmt: skip
"""Where adapters go by default: attention and MLPs, and what makes flow of matches where a network has it."""


@dataclass(frozen=True)
class TrainConfig:
    """Training of a round."""

    trainable: Trainable = Trainable.LORA
    """Which tensors are trained."""
    lora: LoraConfig = ADAPTED
    """Layers that get low-rank adapters, where these are trained."""
    steps: int = 50
    """Steps of a round."""
    batch: int = 1
    """Windows per step."""
    learning_rate: float = 3e-3
    """Step size at the start."""
    weight_decay: float = 0.0
    """Decay of the weights."""
    n_targets: int = 2
    """Target frames per window."""
    ema: float = 0.95
    """Decay of the averaged weights per step."""
    clip: float = 1.0
    """Largest norm of the gradient; larger ones are scaled down."""
    max_round_s: float = float("inf")
    """A round stops after this time, in s."""
    mirrors: bool = True
    """Mirror half of the windows."""
    light: float = 1.0
    """How far exposure and tint are changed; 0 leaves them."""
    rehearse_every: int = 1
    """Every n-th step holds the network to its old answers on familiar images, one for each window."""
    seed: int = 0
    """Seed of all random choices."""


class Trainer:
    """Trains a copy of `model`, with its adapters, if any. `base` is the network as given; with LORA both share its
    weights, which nothing changes. familiar: gives, once, windows of images (S,3,H,W) that the network should not
    forget."""

    def __init__(self, model: Vggt, config: TrainConfig, loss: LossConfig, familiar: Familiar | None = None) -> None:
        self.config, self.loss = config, loss
        is_lora = config.trainable is Trainable.LORA
        self.base = copy_of(model, is_lora)
        self.model = copy_of(model, is_lora)
        if is_lora:
            if not any(True for _ in adapters(self.model)):
                add_lora(self.model, config.lora, config.seed)
            wanted: tuple[str, ...] = tuple(f"{name}.lora_" for name, _ in adapters(self.model))
        else:
            wanted = HEADS if config.trainable is Trainable.HEADS else ("",)
        for name, p in self.model.named_parameters():
            p.requires_grad_(name.startswith(wanted) and (is_lora or not name.startswith("aggregator.patch_embed")))
        self._device = model.aggregator.camera_token.device
        self._rng = np.random.default_rng(config.seed)
        self._lessons: dict[tuple[int, ...], _Lesson] = {}
        self._familiar = familiar
        self._memories: list[Memory] = []

    def state(self) -> State:
        """Copies of the trained tensors."""
        return {n: p.detach().clone() for n, p in self._trained()}

    @torch.no_grad()
    def set_state(self, state: State) -> None:
        for name, p in self._trained():
            p.copy_(state[name])

    def run_round(
        self, windows: Sequence[Window], learning_rate: float, show: Callable[[float], None] | None = None
    ) -> State:
        """Trains on `windows` from where the model stands; returns the averaged weights. The model holds them too."""
        if self._familiar is not None:
            self._memories = remember(self.base, self._familiar())
            self._familiar = None
        parameters = [p for _, p in self._trained()]
        adam = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=self.config.weight_decay)
        average, ends = self.state(), time.monotonic() + self.config.max_round_s
        for k in range(self.config.steps):
            for group in adam.param_groups:
                group["lr"] = learning_rate * learning_rate_at(k, self.config.steps)
            adam.zero_grad()
            loss = self._backward(windows, k)
            nn.utils.clip_grad_norm_(parameters, self.config.clip)
            if all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in parameters):
                adam.step()
            with torch.no_grad():
                for name, p in self._trained():
                    average[name].lerp_(p, 1 - self.config.ema)
            if show is not None:
                show(loss)
            if time.monotonic() > ends:
                break
        self.set_state(average)
        return average

    def _backward(self, windows: Sequence[Window], step: int) -> float:
        """Adds up the gradients of a step; returns the mean loss of its windows."""
        total = 0.0
        for _ in range(self.config.batch):
            loss = self.window_loss(windows[int(self._rng.integers(len(windows)))]) / self.config.batch
            loss.backward()
            total += float(loss.detach())
            if self._memories and step % self.config.rehearse_every == 0:
                memory = self._memories[int(self._rng.integers(len(self._memories)))]
                (self.loss.rehearsal / self.config.batch * rehearsal_loss(self.model, memory)).backward()
        return total

    def window_loss(self, window: Window) -> Tensor:
        """The loss on random target frames of a window, the scale anchored to the start model's. The photometric terms
        take the poses of the matched points; for a network without flow its head's own, which learn from them too."""
        n, lesson, window = len(window.images), self._lesson(window), window.to(self._device)
        if self.config.mirrors and self._rng.random() < 0.5:
            window, lesson = mirrored(window), lesson.mirrored()
        targets = self._rng.choice(n, min(self.config.n_targets, n), replace=False).tolist()
        seen = in_other_light(window.images, self._rng, self.config.light)
        out = self.model(seen[None], self.model.heads & SERVED)
        depth, head = out.depth[0], relative_to_first(decode_pose(out.pose_encoding))[0]
        T, c = head, self.loss
        if lesson.geometry is not None and out.flow is not None:
            T = torch.as_tensor(lesson.geometry.T_cam_first, dtype=head.dtype, device=head.device)
        total = (
            c.photometric
            * window_loss(window.images, depth, T, window.K, targets, c, lesson.log_median.to(depth)).total
        )
        total = total + c.correction * correction_smoothness(depth, lesson.depth.to(depth))
        if lesson.geometry is not None:
            total = total + c.sparse_depth * sparse_depth_loss(depth, lesson.geometry)
            total = total + c.pose * pose_loss(head, lesson.geometry, float(lesson.log_median.exp()))
        if out.flow is not None:
            total = total + c.flow * flow_match_loss(out.flow, window.matches, CELL_PX)
        return total

    def geometry(self, window: Window) -> SparseGeometry | None:
        """Geometry from the window's matched points, starting where the start model puts them."""
        return self._lesson(window).geometry

    def forget_all_but(self, windows: Iterable[Window]) -> None:
        """Drops what was computed for windows other than these."""
        kept = {w.frame_ids for w in windows}
        self._lessons = {ids: lesson for ids, lesson in self._lessons.items() if ids in kept}

    def _lesson(self, window: Window) -> "_Lesson":
        if window.frame_ids not in self._lessons:
            g = guess(self.base, window)
            depth, T, K = (x.cpu().double().numpy() for x in (g.depth[0], g.T_cam_first, window.K))
            geometry = reconstruct(window.matches, depth, T, K, SIGMA_MATCH_PX * window.match_px)
            if geometry is not None:
                geometry = in_unit_of(geometry, g.depth.double().numpy())
            self._lessons[window.frame_ids] = _Lesson(g.depth, g.depth.median().log(), geometry)
        return self._lessons[window.frame_ids]

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]


def learning_rate_at(step: int, n_steps: int) -> float:
    """Share of the learning rate: a warm-up, since Adam's first steps are as long as any, then down to a fifth."""
    return min(1.0, (step + 1) / WARM_UP) * (1.0 - 0.8 * step / n_steps)


def copy_of(model: Vggt, is_sharing: bool) -> Vggt:
    """A copy of the network with its own modules and flags. is_sharing: all but the adapters share their memory."""
    shared = {
        id(p): nn.Parameter(p.detach(), requires_grad=False)
        for name, p in model.named_parameters()
        if is_sharing and ".lora_" not in name
    }
    copied: Vggt = copy.deepcopy(model, dict(shared))
    return copied.requires_grad_(False)


@dataclass(frozen=True)
class _Lesson:
    """What a window teaches: the start model's depth and its log median, and the geometry of its matches, if any."""

    depth: Tensor
    log_median: Tensor
    geometry: SparseGeometry | None

    def mirrored(self) -> "_Lesson":
        geometry = None if self.geometry is None else mirrored_geometry(self.geometry, self.depth.shape[-1])
        return _Lesson(self.depth.flip(-1), self.log_median, geometry)


@torch.no_grad()
def apply_state(model: Vggt, state: State, config: TrainConfig) -> None:
    """Puts committed weights into a served network, adding the adapters at the first call. Call between windows."""
    own = dict(model.named_parameters())
    if config.trainable is Trainable.LORA and not set(state) <= set(own):
        add_lora(model, config.lora, config.seed)
        own = dict(model.named_parameters())
    for name, value in state.items():
        own[name].copy_(value)


MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def mirrored(window: Window) -> Window:
    """Left and right exchanged: c_x becomes W - 1 - c_x."""
    width = window.images.shape[-1]
    K = window.K.clone()
    K[0, 2] = width - 1 - K[0, 2]
    matches = tuple(m.mapped(lambda px: mirrored_px(px, width)) for m in window.matches)
    return replace(window, images=window.images.flip(-1), K=K, matches=matches)


def mirrored_geometry(geometry: SparseGeometry, width: int) -> SparseGeometry:
    """The geometry of the mirrored window: poses M T M with M = diag(-1, 1, 1)."""
    T = MIRROR @ geometry.T_cam_first @ MIRROR
    return replace(geometry, T_cam_first=T, px=mirrored_px(geometry.px, width))


def mirrored_px(px: Array, width: int) -> Array:
    """Pixels (N,2) of the mirrored image."""
    return np.column_stack([width - 1 - px[:, 0], px[:, 1]])


def in_other_light(images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Another exposure, contrast and tint for all frames (S,3,H,W) of a window: what the network alone sees."""
    if strength <= 0:
        return images
    gamma = float(np.exp(strength * rng.normal(0, 0.25)))
    tint = torch.from_numpy(np.exp(strength * rng.normal(0, (0.12, 0.05, 0.05, 0.05)))).to(images)
    return (images.clamp(0, 1) ** gamma * tint[0] * tint[1:, None, None]).clamp(0, 1)
