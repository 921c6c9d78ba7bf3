"""`python -m bench model`: time, peak memory and FLOPs of the network against the number of frames."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from bench.model_table import TextTable, memory_table, record, stage_table
from bench.record import claim_folder, provenance, write_record
from vgslam.byte_size import format_size
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from bench.memory_growth import MemoryPoint
    from bench.network_profile import ProfileCase, ProfileRow
    from vgslam.network.config import VggtConfig
    from vgslam.network.vggt import Head

NAME = "bench_model"


@dataclass
class BenchModelArgs:
    """Measures the network, with random weights, for every number of frames, mask and precision; tables and JSON."""

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

    network: str = "vggt"
    """Backbone to measure: vggt, da3-small, da3-base or one of another package; of all but vggt the stages are `encode`
    and `decode`, and masks, heads, --full, --memory-at and --chunk-tokens do not apply."""

    full: bool = False
    """The network of VGGT-1B (1.26 billion parameters) instead of the small one for trials."""

    width_px: int | None = None
    """Width of the images; the default is the width that the network is made for."""

    height_px: int | None = None
    """Height of the images; the default is about three quarters of the width."""

    repeats: int = 3
    """Runs of each stage; the median time counts."""

    warm_up: bool = True
    """Run each stage once before, without counting it."""

    threads: int | None = None
    """Threads of the processor; the default is torch's own choice."""

    memory_at: tuple[int, ...] = ()
    """Also say how much memory the aggregator takes at these numbers of frames, by a line through the measured ones."""

    chunk_tokens: int | None = None
    """Tokens whose wide intermediate results exist at one time; less of them take less memory."""

    out: Path = Path("out/bench-model")
    """Folder for bench_model.json and bench_model.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


def run_bench_model(args: BenchModelArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError for sizes that cannot work or do not fit into the memory."""
    _check(args)
    if args.network != "vggt":
        return _run_backbone(args)
    from vgslam.network.config import VGGT_1B, VGGT_TINY
    from vgslam.network.precision import Precision, choose_device, choose_dtype

    config = VGGT_1B if args.full else VGGT_TINY
    device = choose_device(args.device)
    _set_threads(args.threads)
    dtypes = list(dict.fromkeys(choose_dtype(Precision(p), device) for p in args.precision))
    cases = _cases(args, config)
    measured = _Measured([], [], 0, 0)
    for dtype in dtypes:
        _measure(args, config, cases, (device, dtype), measured)
    _write(args, measured, config.to_dict(), device)
    return 0


def _run_backbone(args: BenchModelArgs) -> int:
    """Measures a backbone other than VGGT through the protocol, with random weights."""
    from bench.backbone_cost import backbone_rows
    from bench.resident_memory import peak_resident_bytes
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.network.precision import Precision, choose_device, choose_dtype

    device = choose_device(args.device)
    _set_threads(args.threads)
    width = args.width_px or 252
    height = args.height_px or max(1, round(0.757 * width / 14)) * 14
    measured = _Measured([], [], 0, 0)
    for name in args.precision:
        precision = Precision(name)
        options = BackboneOptions(
            "random", args.network, args.device, precision, window_frames=max(args.sizes), size_px=max(width, height)
        )
        backbone = open_backbone(options)
        shown = str(choose_dtype(precision, device)).removeprefix("torch.")
        measured.rows += backbone_rows(backbone, device, shown, args.sizes, (height, width), args.repeats, args.warm_up)
        measured.n_parameters = backbone.weights.n_parameters
    measured.process_peak_bytes = peak_resident_bytes() or 0
    _write(args, measured, {"network": args.network}, device)
    return 0


@dataclass
class _Measured:
    """The measurements so far."""

    rows: "list[ProfileRow]"
    memory: "list[MemoryPoint]"
    n_parameters: int
    process_peak_bytes: int


def _check(args: BenchModelArgs) -> None:
    if not args.sizes or min(args.sizes) < 1:
        raise ConfigError("--sizes: give one or more numbers of frames, each at least 1")
    if not (args.masks and args.heads and args.precision):
        raise ConfigError("give at least one of each: --masks, --heads, --precision")
    for name in ("threads", "chunk_tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if args.memory_at and min(args.memory_at) < 1:
        raise ConfigError("--memory-at: give numbers of frames, each at least 1")
    if args.repeats < 1:
        raise ConfigError(f"--repeats must be at least 1, got {args.repeats}")
    claim_folder(args.out, NAME, args.overwrite)


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def _cases(args: BenchModelArgs, config: "VggtConfig") -> "list[ProfileCase]":
    from bench.network_profile import ProfileCase
    from vgslam.network.aggregator import Chunks

    width = config.image_size if args.width_px is None else args.width_px
    patch = config.patch_size
    height = max(1, round(0.757 * width / patch)) * patch if args.height_px is None else args.height_px
    config.patches(height, width)
    chunks = Chunks() if args.chunk_tokens is None else Chunks(args.chunk_tokens)
    return [ProfileCase(n, height, width, mask, chunks) for n in args.sizes for mask in args.masks]


def _measure(
    args: BenchModelArgs, config: "VggtConfig", cases: "list[ProfileCase]",
    target: "tuple[torch.device, torch.dtype]", measured: _Measured,
) -> None:  # fmt: skip
    """Adds what one precision gives on a device."""
    from bench.network_profile import profile
    from bench.resident_memory import peak_resident_bytes
    from vgslam.network.precision import set_precision
    from vgslam.network.vggt import Head, build
    from vgslam.network.weights import without_heads

    device, dtype = target
    want = {Head(h) for h in args.heads}
    config = without_heads(config, want)
    _check_memory(config, cases, want, device, dtype)
    model = build(config, 0, device).requires_grad_(False)
    set_precision(model, dtype)
    peaks = [measured.process_peak_bytes, peak_resident_bytes() or 0]
    rows = []
    for row in profile(model, cases, want, args.repeats, args.warm_up):
        rows.append(row)
        peaks.append(row.process_bytes or 0)
        if len(rows) % (1 + len(want)) == 0:
            print(f"{row.device} {row.precision} {row.mask}: {row.frames} frames done", file=sys.stderr)
    measured.process_peak_bytes = max(*peaks, peak_resident_bytes() or 0)
    measured.n_parameters = sum(p.numel() for p in model.parameters())
    measured.rows += rows
    if args.memory_at:
        from bench.memory_growth import aggregator_memory

        one_mask = [row for row in rows if row.mask == args.masks[0]]
        is_original = args.full and row.precision != "float32"
        measured.memory += aggregator_memory(config, one_mask, args.memory_at, want, cases[0].chunks, is_original)


def _check_memory(
    config: "VggtConfig", cases: "list[ProfileCase]", want: "set[Head]", device: "torch.device", dtype: "torch.dtype"
) -> None:
    """ConfigError unless the largest case fits; the weights are made in float32 before they are converted."""
    from vgslam.network.memory import VggtWorkload, available_bytes
    from vgslam.network.vggt import skeleton

    free = available_bytes(device)
    if free is None:
        return
    largest = max(cases, key=lambda c: c.frames)
    weights = 4 * sum(p.numel() for p in skeleton(config).parameters())
    work = VggtWorkload(config, largest.height_px, largest.width_px, dtype, weights, frozenset(want))
    needed = work.bytes_needed(largest.frames, largest.chunks)
    if needed > free:
        raise ConfigError(
            f"{largest.frames} frames need about {format_size(needed)} on {device}, {format_size(free)} are free: use "
            "smaller --sizes, smaller images or, without --full, the small network"
        )


def _name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(args: BenchModelArgs, measured: _Measured, config: dict[str, Any], device: "torch.device") -> None:
    import torch

    data = provenance() | {
        "torch": torch.__version__, "threads": torch.get_num_threads(),
        "device_name": _name(device), "config": config, "n_parameters": measured.n_parameters,
        "process_peak_bytes": measured.process_peak_bytes or None,
        "rows": [asdict(row) | {"time_per_frame_s": row.time_per_frame_s} for row in measured.rows],
        "aggregator_memory": [asdict(point) for point in measured.memory],
    }  # fmt: skip
    tables = [stage_table(measured.rows, measured.n_parameters)]
    tables += [memory_table(measured.memory)] if measured.memory else []
    _print(tables)
    print(write_record(args.out, NAME, data, record(data, tables)))


def _print(tables: list[TextTable]) -> None:
    console = Console()
    console.width = max(console.width, 110)
    for table in tables:
        console.print(table.rich())
