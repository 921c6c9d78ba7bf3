"""`vgslam bench model`: time, peak memory and FLOPs of the network against the number of frames."""

import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from vgslam.errors import ConfigError, OutputError
from vgslam.results.atomic import write_text
from vgslam.results.environment import describe_machine, git_commit, package_version

if TYPE_CHECKING:
    import torch

    from vgslam.network.config import VggtConfig
    from vgslam.network.profile import ProfileCase, ProfileRow
    from vgslam.network.vggt import Head

BENCH_MODEL_JSON = "bench_model.json"


@dataclass
class BenchModelArgs:
    """Measures the network, with random weights, for every number of frames, mask and precision; a table and JSON."""

    sizes: tuple[int, ...] = (2, 4, 8)
    """Numbers of frames."""

    masks: tuple[Literal["dense", "star"], ...] = ("dense", "star")
    """Frame-level attention masks."""

    heads: tuple[Literal["pose", "depth", "points", "tracks"], ...] = ("pose", "depth")
    """Heads measured beside the aggregator."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    precision: tuple[Literal["auto", "fp32", "bf16", "fp16"], ...] = ("auto",)
    """Arithmetic of the aggregator, one or more."""

    full: bool = False
    """The network of VGGT-1B (1.26 billion parameters) instead of the small one for trials."""

    width_px: int | None = None
    """Width of the images; the default is the width that the network is made for."""

    height_px: int | None = None
    """Height of the images; the default is about three quarters of the width."""

    repeats: int = 3
    """Runs of each stage; the median time counts."""

    out: Path = Path("out/bench-model")
    """Folder for bench_model.json."""

    overwrite: bool = False
    """Replace an earlier bench_model.json in OUT."""


def run_bench_model(args: BenchModelArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError for sizes that cannot work or do not fit into the memory."""
    _check(args)
    _make_folder(args.out)
    from vgslam.network.config import VGGT_1B, VGGT_TINY
    from vgslam.network.precision import Precision, choose_device, choose_dtype

    config = VGGT_1B if args.full else VGGT_TINY
    device = choose_device(args.device)
    dtypes = list(dict.fromkeys(choose_dtype(Precision(p), device) for p in args.precision))
    cases = _cases(args, config)
    rows: list[ProfileRow] = []
    n_parameters = 0
    for dtype in dtypes:
        measured, n_parameters = _measure(args, config, cases, device, dtype)
        rows += measured
    _write(args, rows, {"config": config.to_dict(), "n_parameters": n_parameters, "device_name": _name(device)})
    return 0


def _check(args: BenchModelArgs) -> None:
    if not args.sizes or min(args.sizes) < 1:
        raise ConfigError("--sizes: give one or more numbers of frames, each at least 1")
    if not (args.masks and args.heads and args.precision):
        raise ConfigError("give at least one of each: --masks, --heads, --precision")
    if args.repeats < 1:
        raise ConfigError(f"--repeats must be at least 1, got {args.repeats}")
    if (args.out / BENCH_MODEL_JSON).exists() and not args.overwrite:
        raise OutputError(f"{args.out / BENCH_MODEL_JSON} exists: give another --out, or --overwrite")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made ({error.strerror or error}): give another --out") from error


def _cases(args: BenchModelArgs, config: "VggtConfig") -> "list[ProfileCase]":
    from vgslam.network.profile import ProfileCase

    width = config.image_size if args.width_px is None else args.width_px
    patch = config.patch_size
    height = max(1, round(0.757 * width / patch)) * patch if args.height_px is None else args.height_px
    config.grid(height, width)
    return [ProfileCase(n, height, width, mask) for n in args.sizes for mask in args.masks]


def _measure(
    args: BenchModelArgs, config: "VggtConfig", cases: "list[ProfileCase]", device: "torch.device",
    dtype: "torch.dtype",
) -> "tuple[list[ProfileRow], int]":  # fmt: skip
    """Rows and the number of parameters of the heads' network in one precision."""
    from vgslam.network.precision import set_precision
    from vgslam.network.profile import profile
    from vgslam.network.vggt import Head, build
    from vgslam.network.weights import without_heads

    want = {Head(h) for h in args.heads}
    config = without_heads(config, want)
    _check_memory(config, cases, want, device, dtype)
    model = build(config, 0, device).requires_grad_(False)
    set_precision(model, dtype)
    rows = []
    for row in profile(model, cases, want, args.repeats):
        rows.append(row)
        if len(rows) % (1 + len(want)) == 0:
            print(f"{row.device} {row.precision} {row.mask}: {row.frames} frames done", file=sys.stderr)
    return rows, sum(p.numel() for p in model.parameters())


def _check_memory(
    config: "VggtConfig", cases: "list[ProfileCase]", want: "set[Head]", device: "torch.device", dtype: "torch.dtype"
) -> None:
    """ConfigError unless the largest case fits; the weights are made in float32 before they are converted."""
    from vgslam.network.memory import Workload, available_bytes, estimate_bytes, format_size
    from vgslam.network.vggt import skeleton

    free = available_bytes(device)
    if free is None:
        return
    largest = max(cases, key=lambda c: c.frames)
    weights = 4 * sum(p.numel() for p in skeleton(config).parameters())
    work = Workload(config, largest.height_px, largest.width_px, frozenset(want), dtype, weights)
    needed = estimate_bytes(work, largest.frames, largest.chunks)
    if needed > free:
        raise ConfigError(
            f"{largest.frames} frames need about {format_size(needed)} on {device}, {format_size(free)} are free: use "
            "smaller --sizes, smaller images or, without --full, the small network"
        )


def _name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(args: BenchModelArgs, rows: "list[ProfileRow]", network: dict[str, Any]) -> None:
    path = args.out / BENCH_MODEL_JSON
    data = {
        "command": shlex.join(["vgslam", *sys.argv[1:]]), "version": package_version(), "commit": git_commit(),
        "machine": asdict(describe_machine()), **network,
        "rows": [asdict(row) | {"time_per_frame_s": row.time_per_frame_s} for row in rows],
    }  # fmt: skip
    console = Console()
    console.width = max(console.width, 110)
    console.print(_table(rows, network["n_parameters"]))
    write_text(path, json.dumps(data, indent=1) + "\n")
    print(f"written: {path}")


def _table(rows: "list[ProfileRow]", n_parameters: int) -> Table:
    first = rows[0]
    measured = "measured" if first.is_memory_measured else "sum of the tensors that live at one time"
    table = Table(
        title=f"{n_parameters / 1e6:.1f} million parameters, {first.width_px}x{first.height_px} px, random weights",
        caption=f"memory: {measured}, with weights; GFLOP: matrix products, attention and convolutions",
    )
    for name in ("device", "precision", "mask", "frames", "stage", "time (s)", "per frame (s)", "CPU (s)", "peak (MiB)",
                 "GFLOP"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("device", "precision", "mask", "stage") else "right")
    for r in rows:
        table.add_row(
            r.device, r.precision, r.mask, str(r.frames), r.stage, f"{r.time_s:.4f}", f"{r.time_per_frame_s:.4f}",
            f"{r.cpu_s:.4f}", f"{r.peak_bytes / 2**20:.1f}", f"{r.flops / 1e9:.2f}",
        )  # fmt: skip
    return table
