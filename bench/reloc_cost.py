"""`python -m bench reloc-cost`: what relocalization costs against the number of frames."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from bench.model_table import TextTable
from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    from bench.global_block_cost import CostRow, CostSummary
    from vgslam.network.config import VggtConfig

NAME = "bench_reloc_cost"


@dataclass
class BenchRelocCostArgs:
    """Time and FLOPs of the global blocks: dense, with the sparse mask, and for one query beside a cached database."""

    sizes: tuple[int, ...] = (10, 20, 40, 80)
    """Numbers of frames, the query included; two or more."""

    model: Literal["vggt-s", "vggt-s2", "vggt-m", "vggt-tiny", "vggt-1b"] = "vggt-s"
    """Network (random weights)."""

    width_px: int | None = None
    """Width of the images; the default is the width that the network is made for."""

    height_px: int | None = None
    """Height of the images; the default is about three quarters of the width."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the linear layers and the attention."""

    repeats: int = 3
    """Runs of each case; the least time counts."""

    time: bool = True
    """Measure times; without it FLOPs alone, which works for any network on any machine."""

    threads: int | None = None
    """Threads of the processor; the default is torch's own choice."""

    out: Path = Path("out/bench-reloc-cost")
    """Folder for bench_reloc_cost.json and bench_reloc_cost.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


def run_bench_reloc_cost(args: BenchRelocCostArgs) -> int:
    """Counts, measures, prints and writes; returns 0. ConfigError for sizes that cannot work, OutputError if the
    results cannot be written."""
    _check(args)
    import torch

    from bench.global_block_cost import CostCase, cost_table, summarise
    from vgslam.network.precision import Precision, choose_device, choose_dtype
    from vgslam_train.presets import PRESETS

    config = PRESETS[args.model]
    height, width = _image_size(args, config)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    dtype = choose_dtype(Precision(args.precision), device)
    case = CostCase(config, height, width, device, dtype)
    rows = cost_table(case, sorted(set(args.sizes)), args.repeats, args.time)
    summaries = summarise(rows)
    title = f"{args.model}, {width}x{height} px, {device}, {str(dtype).removeprefix('torch.')}"
    tables = [_cost_table(rows, title), _summary_table(summaries, max(args.sizes))]
    data: dict[str, object] = provenance() | {
        "torch": torch.__version__, "threads": torch.get_num_threads(),
        "model": args.model, "height_px": height, "width_px": width, "device": str(device),
        "precision": str(dtype).removeprefix("torch."), "rows": [asdict(r) for r in rows],
        "summary": [asdict(s) for s in summaries],
    }  # fmt: skip
    _write(args.out, data, tables)
    return 0


def _check(args: BenchRelocCostArgs) -> None:
    if len(set(args.sizes)) < 2 or min(args.sizes) < 2:
        raise ConfigError("--sizes: give two or more different numbers of frames, each at least 2")
    if args.repeats < 1 or (args.threads is not None and args.threads < 1):
        raise ConfigError("--repeats and --threads must be at least 1")
    claim_folder(args.out, NAME, args.overwrite)


def _image_size(args: BenchRelocCostArgs, config: "VggtConfig") -> tuple[int, int]:
    """Height and width in px; ConfigError unless multiples of the patch size."""
    width = config.image_size if args.width_px is None else args.width_px
    patch = config.patch_size
    height = max(1, round(0.757 * width / patch)) * patch if args.height_px is None else args.height_px
    config.patches(height, width)
    return height, width


def _cost_table(rows: "list[CostRow]", title: str) -> TextTable:
    dense = {r.frames: r for r in rows if r.variant == "dense"}
    cells: list[tuple[str, ...]] = [
        (
            str(r.variant), str(r.frames), f"{r.flops / 1e9:.3f}", f"{r.flops / dense[r.frames].flops:.3f}",
            _text(r.time_s, 5), _ratio(r.time_s, dense[r.frames].time_s),
        )
        for r in rows
    ]  # fmt: skip
    return TextTable(
        f"Global blocks, {title}",
        "GFLOP: 2 for each multiply-add, counted. Time: of one block times the number of blocks. Cached: one query; "
        "its database is not counted.",
        ("variant", "frames", "GFLOP", "to dense", "time (s)", "to dense"), cells, 1,
    )  # fmt: skip


def _summary_table(summaries: "list[CostSummary]", most: int) -> TextTable:
    cells: list[tuple[str, ...]] = [
        (str(s.variant), f"{s.flops_slope:.2f}", f"{s.flops_ratio:.3f}", _text(s.time_slope, 2), _text(s.time_ratio, 3))
        for s in summaries
    ]
    return TextTable(
        "Growth with the number of frames", f"Slope in log-log; ratio to dense at {most} frames.",
        ("variant", "slope, FLOPs", "ratio, FLOPs", "slope, time", "ratio, time"), cells, 1,
    )  # fmt: skip


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "–" if value is None or not reference else f"{value / reference:.3f}"


def _write(out: Path, data: dict[str, object], tables: list[TextTable]) -> None:
    console = Console()
    console.width = max(console.width, 110)
    for table in tables:
        console.print(table.rich())
    about = f"Command: `{data['command']}`; threads: {data['threads']}; vgslam {data['version']}, commit "
    about += f"{data['commit']}, torch {data['torch']}.\n"
    print(write_record(out, NAME, data, "\n".join([*(t.markdown() for t in tables), about])))
