"""The same numbers on a GPU as on the CPU, and what pays there: attention kernels, compilation, rendering, a step."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tools.gpu.record import Record, arguments, seconds, wait
from vgslam.geometry.camera import Camera
from vgslam.network.config import VGGT_1B, VGGT_TINY, VggtConfig
from vgslam.network.frame_mask import FrameMask, MaskBackend, attend
from vgslam.network.initialise import initialise, scatter
from vgslam.network.layers import Block, Linear
from vgslam.network.precision import set_precision
from vgslam.network.tables import rope_table
from vgslam.network.vggt import Head, Vggt, build
from vgslam_train.data.clips import ClipConfig, render_clip
from vgslam_train.data.windows import WindowBatch
from vgslam_train.presets import PRESETS
from vgslam_train.training.losses import LossWeights
from vgslam_train.training.step import TrainingStep
from vgslam_train.worlds.scenes import WORLD_KINDS, generate
from vgslam_train.worlds.trajectories import trajectory
from vgslam_train.worlds.world import render

NETWORK_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest |out - reference| / |reference| (Euclidean norms of a whole output); the reference is float64 on the CPU."""
ATTENTION_TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}
SAME_PIXELS = 0.995
"""Share of the pixels that must agree within 2/255 in each colour and 0.1 % in depth: edges fall either way."""
HEADS = frozenset({Head.POSE, Head.DEPTH, Head.POINTS})


def distance(out: Tensor, reference: Tensor) -> float:
    """|out - reference| / |reference|; ValueError if something is not finite."""
    x, y = out.detach().double().cpu(), reference.detach().double().cpu()
    if not bool(torch.isfinite(x).all()):
        raise ValueError("values that are not finite")
    return float((x - y).norm() / y.norm())


def within(found: dict[str, float], tolerance: float) -> dict[str, float]:
    """`found`, or ValueError that names what is beyond the tolerance."""
    beyond = {name: value for name, value in found.items() if not value <= tolerance}
    if beyond:
        raise ValueError(f"beyond {tolerance}: {beyond} (all: {found})")
    return found


@torch.no_grad()
def network_parity(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    model = build(VGGT_TINY, 0)
    scatter(model, 1)
    images = torch.rand(2, 4, 3, 112, 140, generator=torch.Generator().manual_seed(2))
    reference = model.double()(images.double(), HEADS)
    model = model.float().to(device)
    set_precision(model, dtype)
    out = model(images.to(device), HEADS)
    found = {
        name: distance(getattr(out, name), getattr(reference, name)) for name in ("pose_encoding", "depth", "points")
    }
    return within(found, NETWORK_TOLERANCE[str(dtype).removeprefix("torch.")])


@torch.no_grad()
def attention_parity(device: torch.device, dtype: torch.dtype, backend: MaskBackend) -> dict[str, float]:
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(1, 4, 7, 128, 64, generator=generator) for _ in range(3))
    found = {}
    for name, mask in (("star", FrameMask.star(7)), ("dilated", FrameMask.dilated(7)), ("causal", FrameMask.causal(7))):
        tokens = torch.from_numpy(np.kron(mask.allow, np.ones((128, 128), bool)))
        flat = [x.to(dtype).double().flatten(2, 3) for x in (q, k, v)]
        reference = functional.scaled_dot_product_attention(*flat, attn_mask=tokens).unflatten(2, (7, 128))
        out = attend(*(x.to(device, dtype) for x in (q, k, v)), mask, backend=backend)
        found[name] = distance(out, reference)
    return within(found, ATTENTION_TOLERANCE[str(dtype).removeprefix("torch.")])


def rendering(device: torch.device, kind: str, size: tuple[int, int]) -> dict[str, float]:
    """How many pixels of a world agree with the CPU's."""
    world = generate(kind, 11)
    T, camera = trajectory("walk", 6, 11, world.free, 5.0), Camera.from_fov(size[1], size[0], 70.0)
    here, there = render(world, T, camera), render(world, T, camera, device=device)
    colour = (here.images - there.images.cpu()).abs().amax(-1) <= 2 / 255
    inverse, other = 1 / here.depth, 1 / there.depth.cpu()
    depth = (inverse - other).abs() <= 1e-3 * inverse.clamp(min=1e-6)
    found = {"colour": float(colour.float().mean()), "depth": float(depth.float().mean())}
    if min(found.values()) < SAME_PIXELS:
        raise ValueError(f"fewer than {SAME_PIXELS} of the pixels agree: {found}")
    return found


def render_speed(device: torch.device, config: ClipConfig, clips: int) -> dict[str, float]:
    """Frames a second of one process, and the seconds that making the worlds took."""
    n, made_s, filmed_s = 0, 0.0, 0.0
    for i, kind in enumerate(("room", "clutter", "street")):
        start = time.perf_counter()
        world = generate(kind, 40 + i)
        made_s += time.perf_counter() - start
        render_clip(world, kind, 0, config, str(device))
        wait(device)
        start = time.perf_counter()
        for c in range(clips):
            render_clip(world, kind, 1 + c, config, str(device))
            n += config.n_frames
        wait(device)
        filmed_s += time.perf_counter() - start
    return {"frames_per_s": round(n / filmed_s, 1), "worlds_s": round(made_s, 2)}


@torch.no_grad()
def attention_kernels(device: torch.device, frames: int, tokens: int) -> dict[str, Any]:
    """Milliseconds and TFLOP/s of dense attention by torch's kernels, bf16, 16 heads of 64."""
    q, k, v = (torch.randn(1, 16, frames * tokens, 64, device=device, dtype=torch.bfloat16) for _ in range(3))
    flops = 4 * 16 * 64 * (frames * tokens) ** 2
    found: dict[str, Any] = {}
    for name, backend in (
        ("default", None), ("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION),
    ):  # fmt: skip
        try:
            call = partial(functional.scaled_dot_product_attention, q, k, v)
            if backend is None:
                took = seconds(call, device)
            else:
                with sdpa_kernel(backend):
                    took = seconds(call, device)
            found[name] = {"ms": round(1e3 * took, 3), "tflops": round(flops / took / 1e12, 1)}
        except RuntimeError as error:
            found[name] = str(error).splitlines()[0][:200]
    return found


@torch.no_grad()
def compiled_block(device: torch.device, config: VggtConfig, frames: int, size: tuple[int, int]) -> dict[str, float]:
    """One frame block of the aggregator, eager and compiled; the seconds that compiling took."""
    c = config.aggregator
    with torch.device(device):
        block = Block(config.width, c.n_heads, c.mlp_ratio, c.layer_scale, qk_norm=True).requires_grad_(False)
    initialise(block, 0)
    for module in block.modules():
        if isinstance(module, Linear):
            module.to(torch.bfloat16)
    rope = rope_table(
        config.patches(*size), config.n_special, config.width // c.n_heads, c.rope_base, device, torch.float32
    )
    x = torch.randn(frames, 1, config.tokens_per_frame(*size), config.width, device=device)
    eager = seconds(lambda: block(x, rope), device)
    compiled = torch.compile(block)
    start = time.perf_counter()
    out = compiled(x, rope)
    wait(device)
    compile_s = time.perf_counter() - start
    within({"compiled": distance(out, block(x, rope))}, 1e-2)
    fast = seconds(lambda: compiled(x, rope), device)
    return {"eager_ms": round(1e3 * eager, 3), "compiled_ms": round(1e3 * fast, 3), "compile_s": round(compile_s, 1)}


def training_speed(
    device: torch.device, model: Vggt, shape: tuple[int, int, int, int], repeats: int
) -> dict[str, float]:
    """A training step in bf16 on random windows (batch, frames, height, width): milliseconds, windows/s, memory."""
    batch, frames, height, width = shape
    model = model.train()
    step = TrainingStep(model, LossWeights())
    adam = torch.optim.AdamW(model.parameters(), lr=1e-5)
    T = torch.eye(4, dtype=torch.float64).repeat(batch, frames, 1, 1)
    T[:, :, 0, 3] = 0.1 * torch.arange(frames)
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]], dtype=torch.float64)
    windows = WindowBatch(
        torch.rand(batch, frames, 3, height, width), 1 + torch.rand(batch, frames, height, width), T,
        K.repeat(batch, 1, 1),
    ).to(device)  # fmt: skip

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss, _ = step(windows, 0, 0.5)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if not bool(torch.isfinite(norm)):
            raise ValueError("gradients that are not finite")
        adam.step()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    took = seconds(run, device, repeats, warm_up=min(3, repeats))
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return {"ms": round(1e3 * took, 2), "windows_per_s": round(batch / took, 1), "peak_gib": round(peak, 2)}


def checks(device: torch.device, tiny: bool) -> list[tuple[str, Callable[[], Any]]]:
    """Name and call of each check, the short ones first."""
    size = (48, 64) if tiny else (168, 224)
    clip = ClipConfig(height=48, width=64, n_frames=3) if tiny else ClipConfig(height=240, width=320)
    found: list[tuple[str, Callable[[], Any]]] = []
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        found.append((f"network {name}", partial(network_parity, device, dtype)))
        found.append((f"attention grouped {name}", partial(attention_parity, device, dtype, MaskBackend.GROUPED)))
    found += [(f"rendering {kind}", partial(rendering, device, kind, size)) for kind in WORLD_KINDS]
    found.append(("render speed", partial(render_speed, device, clip, 1 if tiny else 4)))
    if device.type != "cpu":
        found.append(("render speed, cpu", partial(render_speed, torch.device("cpu"), clip, 1)))
    model = build(PRESETS["vggt-s" if tiny else "vggt-m"], 0).to(device)
    for batch, frames in ((2, 2),) if tiny else ((32, 2), (16, 4), (32, 4)):
        name = f"training step, {batch} windows of {frames}"
        found.append((name, partial(training_speed, device, model, (batch, frames, *size), 1 if tiny else 8)))
    tokens = 64 if tiny else 1041
    found.append(("attention kernels", partial(attention_kernels, device, 2 if tiny else 20, tokens)))
    if device.type == "cuda":
        found.append(("attention flex bfloat16", partial(attention_parity, device, torch.bfloat16, MaskBackend.FLEX)))
        found.append(("compiled block", partial(compiled_block, device, VGGT_1B, 8, (392, 518))))
    else:
        found.append(("attention flex float32", partial(attention_parity, device, torch.float32, MaskBackend.FLEX)))
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(__doc__ or "").parse_args(argv)
    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    record = Record("check", device, args.out)
    for name, run in checks(device, args.tiny):
        if name.startswith("training"):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        record.measure(name, run)
    record.write()
    return record.exit_code


if __name__ == "__main__":
    sys.exit(main())
