"""`python -m bench worlds`: how fast worlds are rendered."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from bench.record import provenance, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from vgslam.geometry.camera import Camera
    from vgslam_train.worlds.world import World

NAME = "worlds"
MOTIONS = {"room": "walk", "corridor": "walk", "clutter": "orbit", "street": "drive", "hills": "drone"}
RATE_HZ = 5.0
FOV_DEG = 70.0


@dataclass
class BenchWorldsArgs:
    """Renders worlds of every kind, without supersampling: frames a second, a table and JSON."""

    seeds: int = 6
    """Worlds of each kind."""

    frames: int = 24
    """Views of each, along a path."""

    size: tuple[int, int] = (160, 120)
    """Width and height in pixels."""

    repeats: int = 5
    """Each world is rendered so often; the fastest counts, since other work on the machine only slows."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    threads: int = 1
    """CPU threads."""

    out: Path = Path("out/bench-worlds")
    """Folder for the table and the JSON."""


def run_bench_worlds(args: BenchWorldsArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError for numbers that are not positive."""
    import torch

    from vgslam.geometry.camera import Camera
    from vgslam.network.precision import choose_device

    if min(args.seeds, args.frames, args.repeats, *args.size) < 1:
        raise ConfigError("--seeds, --frames, --repeats and --size must be positive")
    torch.set_num_threads(max(args.threads, 1))
    device = choose_device(args.device)
    camera = Camera.from_fov(*args.size, FOV_DEG)
    rates = {kind: [_rate(kind, seed, camera, args, device) for seed in range(args.seeds)] for kind in MOTIONS}
    about: dict[str, Any] = provenance() | {
        "device": str(device), "threads": args.threads,
    }  # fmt: skip
    table = _table(rates)
    Console().print(table, soft_wrap=True)
    args.out.mkdir(parents=True, exist_ok=True)
    print(write_record(args.out, NAME, about | {"frames_per_s": rates}, _page(about, args, table)))
    return 0


def _rate(kind: str, seed: int, camera: "Camera", args: BenchWorldsArgs, device: "torch.device") -> float:
    """Frames a second of one world."""
    from vgslam_train.worlds.scenes import generate
    from vgslam_train.worlds.trajectories import trajectory
    from vgslam_train.worlds.world import render

    world = generate(kind, seed)
    T_world_cam = np.asarray(trajectory(MOTIONS[kind], args.frames, seed, world.free, RATE_HZ))
    render(world, T_world_cam[:2], camera, device=device)  # puts textures and light on the device
    return args.frames / min(_seconds(world, T_world_cam, camera, device) for _ in range(args.repeats))


def _seconds(world: "World", T_world_cam: "np.ndarray[Any, Any]", camera: "Camera", device: "torch.device") -> float:
    import torch

    from vgslam_train.worlds.world import render

    began_s = time.perf_counter()
    render(world, T_world_cam, camera, device=device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began_s


def _table(rates: dict[str, list[float]]) -> str:
    rows = ["| world | frames/s: median | slowest seed | fastest seed |", "|---|---:|---:|---:|"]
    rows += [f"| {k} | {np.median(r):.0f} | {min(r):.0f} | {max(r):.0f} |" for k, r in rates.items()]
    mixed = len(rates) / sum(1 / float(np.median(r)) for r in rates.values())
    return "\n".join([*rows, f"| all kinds equally often | {mixed:.0f} | | |"]) + "\n"


def _page(about: dict[str, Any], args: BenchWorldsArgs, table: str) -> str:
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    width, height = args.size
    return (
        f"# How fast worlds are rendered\n\n{width} x {height} pixels with exact depth, one ray a pixel, "
        f"{args.seeds} worlds of each kind, {args.frames} views of each.\n\n{head}\n\n{table}"
    )
