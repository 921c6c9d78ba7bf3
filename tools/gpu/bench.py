"""A network of the size of VGGT-1B with random weights: time and peak memory against the number of frames, beside the
published figures of the original; sparse against dense attention."""

import sys
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from bench.compiled import compile_blocks
from bench.global_block_cost import CostCase, Variant, log_slope, measure_time_s
from bench.memory_growth import ORIGINAL_GB
from bench.network_profile import AGGREGATOR, ProfileCase, profile
from tools.gpu.record import Record, arguments
from vgslam.network.config import VGGT_1B, VGGT_TINY, VggtConfig
from vgslam.network.precision import set_precision
from vgslam.network.vggt import Head, Vggt, skeleton
from vgslam.network.weights import without_heads

ORIGINAL_S = {1: 0.04, 8: 0.11, 20: 0.31, 100: 3.12, 200: 8.75}
"""The original aggregator's seconds by number of frames, bf16 with flash attention 3 on an H100, as its authors publish
them (README of the VGGT repository); the size of their images is not stated there."""
HEADS = frozenset({Head.POSE, Head.DEPTH})


@torch.no_grad()
def random_network(config: VggtConfig, device: torch.device) -> Vggt:
    """Filled on the device itself, which takes milliseconds."""
    model = skeleton(without_heads(config, HEADS)).to_empty(device=device)
    for p in model.parameters():
        p.normal_(0.0, 0.02)
    return model.requires_grad_(False)


def stages(model: Vggt, frames: int, size: tuple[int, int], mask: str = "dense") -> list[dict[str, Any]]:
    """A row for the aggregator and one for each head. Aggregator: with its own weights and what the run added, without
    the heads' weights."""
    weights = sum(p.numel() * p.element_size() for p in model.aggregator.parameters())
    rows = profile(model, [ProfileCase(frames, *size, mask)], HEADS, repeats=3 if frames < 50 else 2)
    found = []
    for row in rows:
        entry = {k: v for k, v in asdict(row).items() if k in ("stage", "frames", "mask", "precision", "time_s")}
        entry["tflops"] = round(row.flops / row.time_s / 1e12, 1)
        if row.added_bytes is not None:
            entry["added_gb"] = round(row.added_bytes / 1e9, 3)
        if row.stage == AGGREGATOR:
            entry["memory_gb"] = round((weights + (row.added_bytes or 0)) / 1e9, 3)
            if frames in ORIGINAL_S and row.precision == "bfloat16":
                entry["time_to_original"] = round(row.time_s / ORIGINAL_S[frames], 3)
                entry["memory_to_original"] = round(entry["memory_gb"] / ORIGINAL_GB[frames], 3)
        found.append(entry)
    return found


def sparse(case: CostCase, frames: tuple[int, ...]) -> dict[str, Any]:
    """All global blocks under the star mask against dense ones: seconds, slopes of log time against log frames."""
    found: dict[str, Any] = {"frames": list(frames)}
    for variant in (Variant.DENSE, Variant.STAR):
        times = [measure_time_s(case, n, variant, 2) for n in frames]
        found[variant] = {"seconds": [round(t, 5) for t in times], "slope": round(log_slope(frames, times), 3)}
    pairs = zip(found[Variant.STAR]["seconds"], found[Variant.DENSE]["seconds"], strict=True)
    found["star_to_dense"] = [round(a / b, 4) for a, b in pairs]
    return found


def main(argv: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 20, 32, 100], help="numbers of frames")
    parser.add_argument("--fp32", type=int, nargs="*", default=[2, 8, 20], help="likewise, in fp32")
    parser.add_argument("--compile", action="store_true", help="fuse the elementwise work of the blocks")
    args = parser.parse_args(argv)
    device, tiny = torch.device(args.device), args.tiny
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    config, size = (VGGT_TINY, (56, 70)) if tiny else (VGGT_1B, (392, 518))
    record = Record("bench", device, args.out)
    record.content["is_compiled"] = args.compile
    half = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = random_network(config, device)
    for frames in (2,) if tiny else args.fp32:
        record.measure(f"fp32 {frames}", partial(stages, model, frames, size))
    set_precision(model, half)
    if args.compile:
        compile_blocks(model)
    for frames in (2, 3) if tiny else args.sizes:
        record.measure(f"half {frames}", partial(stages, model, frames, size))
    record.measure("half star", partial(stages, model, 3 if tiny else 100, size, "star"))
    cost = CostCase(config, *size, device, half, args.compile)
    record.measure("sparse", partial(sparse, cost, (3, 4) if tiny else (10, 20, 40, 80, 160, 320)))
    record.write()
    return record.exit_code


if __name__ == "__main__":
    sys.exit(main())
