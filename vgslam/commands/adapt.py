"""`vgslam adapt`: the network learns from a recording without ground truth."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from vgslam.atomic import write_bytes, write_text
from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.guards.wording import say
from vgslam.interfaces import FrameSource
from vgslam.results.environment import provenance
from vgslam.results.saved_depth import png_of
from vgslam.session.choose_camera import camera_with_fov
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera

if TYPE_CHECKING:
    from vgslam.adapt.adapter import AdaptConfig, Adapter
    from vgslam.adapt.collector import Frames
    from vgslam.adapt.offline import AdaptOutcome
    from vgslam.adapt.trainer import Trainable

N_PICTURES = 4
EMA = 0.98  # decay of the averaged weights per step, for rounds that are longer than those beside tracking


@dataclass
class AdaptArgs:
    """Adapts a network to a recording by self-supervision. What it learns is kept only if windows that are held back
    get better; the result is a small file for `vgslam run --network vggt --adapter FILE`."""

    path: Annotated[Path, tyro.conf.Positional]
    """The recording: anything that `vgslam run` takes."""
    out: Path = Path("adapter.safetensors")
    """File for the adapter. Beside it, with the same name: a table (.json), and depth before and after (.png)."""
    weights: str = "vggt-s"
    """Weights to start from: a name of the package, a Hugging Face id, a file or a folder."""
    trainable: Literal["lora", "heads", "all"] = "lora"
    """What to train: adapters beside the layers, the heads, or everything but the encoder. With heads and all, the
    whole network is written; load it with --weights."""
    steps: int = 300
    """Training steps."""
    learning_rate: float | None = None
    """Step size at the start; by default 3e-3 for lora and 2e-3 for the others."""
    batch: int = 4
    """Windows per step."""
    rehearse: bool = True
    """Hold the network to its old answers on familiar images (rendered worlds), so that it forgets less; twice as slow.
    For the small networks only."""
    seed: int = 0
    """Seed of all random choices."""
    source: str = "auto"
    """Kind of source, as for `vgslam run`."""
    calib: Path | None = None
    """Camera calibration; the default is the data set's own."""
    fov_deg: float | None = None
    """Horizontal field of view in degrees, if there is no calibration."""
    start: int = 0
    """First image used, counted from 0."""
    end: int | None = None
    """Image after the last one used."""
    stride: int = 1
    """Use every n-th image."""
    max_frames: int | None = None
    """Use at most this many images, counted after stride."""
    device: str = "auto"
    """Run the network on cpu, cuda, cuda:N or mps."""
    threads: int = 0
    """CPU threads; 0 leaves it to torch."""
    quiet: bool = False
    """No progress bar."""


def run_adapt(args: AdaptArgs) -> int:
    """Adapts, prints and writes; returns 0, or 1 when nothing improved (no adapter then). Ctrl-C keeps what was
    committed."""
    from vgslam.network.options import require_torch

    require_torch("vgslam adapt")
    import torch

    from vgslam.adapt.adapter import Adapter
    from vgslam.adapt.offline import adapt
    from vgslam.adapt.rehearsal import familiar_windows
    from vgslam.network.precision import choose_device
    from vgslam.network.weights import LoadOptions, load

    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    console = Console()
    chosen = SourceOptions(args.source, args.calib, None, args.start, args.end, args.stride, args.max_frames)
    source = open_source(args.path, chosen)
    camera = camera_of(args, source)
    loaded = load(args.weights, LoadOptions(choose_device(args.device)), show=say)
    familiar = partial(familiar_windows, loaded.model.config) if args.rehearse else None
    adapter = Adapter(loaded.model, adapt_config(args), loaded.info.sha256, familiar)
    with Progress(console=console, disable=args.quiet or not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("collecting windows", total=args.steps)
        outcome = adapt(
            adapter, windows(source, camera), args.steps,
            lambda n, loss: progress.update(task, completed=n, description=f"loss {loss:.3f}"),
            lambda event: console.print(escape(event.told()), soft_wrap=True),
        )  # fmt: skip
    console.print(_table(outcome))
    about = provenance() | {
        "weights": loaded.info.model_id, "trainable": args.trainable,
    }  # fmt: skip
    write_text(args.out.with_suffix(".json"), json.dumps(about | outcome_numbers(outcome), indent=1) + "\n")
    write_bytes(args.out.with_suffix(".png"), depth_pictures(adapter, outcome))
    if not outcome.steps:
        say("nothing was learned that the held-back windows confirm: no adapter is written")
        return 1
    adapter.save(args.out, loaded.info.licence.name)
    how = f"--adapter {args.out}" if args.trainable == "lora" else f"--weights {args.out}"
    say(f"{outcome.steps} steps are in {args.out}: vgslam run ... --network vggt {how}")
    return 0


def _check(args: AdaptArgs) -> None:
    """Checks the arguments before anything is computed."""
    if args.steps < 1 or args.batch < 1 or args.threads < 0:
        raise ConfigError("--steps and --batch must be at least 1 and --threads not negative")
    if args.learning_rate is not None and not args.learning_rate > 0:
        raise ConfigError(f"--learning-rate must be positive, got {args.learning_rate}")
    if not args.out.parent.is_dir() or args.out.is_dir():
        raise OutputError(f"{args.out}: cannot be written; --out names a file in a folder that exists")


def adapt_config(args: AdaptArgs) -> "AdaptConfig":
    """The arguments as settings of the adapter."""
    from vgslam.adapt.adapter import AdaptConfig
    from vgslam.adapt.safeguards import OFFLINE
    from vgslam.adapt.trainer import Trainable, TrainConfig

    trainable = Trainable(args.trainable)
    rate = args.learning_rate or learning_rate(trainable)
    train = TrainConfig(
        trainable, steps=steps_of_a_round(args.steps), batch=args.batch, learning_rate=rate, ema=EMA, seed=args.seed
    )
    return replace(AdaptConfig(), train=train, limits=OFFLINE)


def steps_of_a_round(n_steps: int) -> int:
    """Steps of a round: half of n_steps, at most 150, as the small gain of a short one would be lost in the noise."""
    return min(150, -(-n_steps // 2))


def learning_rate(trainable: "Trainable") -> float:
    """The default step size."""
    from vgslam.adapt.trainer import Trainable, TrainConfig

    return TrainConfig.learning_rate if trainable is Trainable.LORA else 2e-3


def camera_of(args: AdaptArgs, source: FrameSource) -> Camera:
    """The calibration, or the field of view given. InputError without either."""
    camera = source.camera
    if args.fov_deg is not None:
        camera = camera_with_fov(source, args.fov_deg)
    if camera is None:
        raise InputError(f"{args.path} has no calibration: give --calib FILE or --fov-deg DEGREES")
    return camera


def windows(source: FrameSource, camera: Camera) -> "Iterator[Frames]":
    """Windows of all frames of a source. They overlap because a recording is short."""
    from vgslam.adapt.collector import Collector, CollectorConfig

    collector = Collector(camera, CollectorConfig(advance=2))
    for frame in source:
        found = collector.add(frame.image, frame.id)
        if found is not None:
            yield found


def outcome_numbers(outcome: "AdaptOutcome") -> dict[str, Any]:
    """The measures as plain JSON types."""
    return {
        "steps": outcome.steps, "n_training_windows": outcome.n_training, "n_held_back": outcome.n_held_back,
        "skipped": outcome.skipped,
        "before": {"photometric": outcome.before.photometric, "epipolar_px": outcome.before.epipolar_px},
        "after": {"photometric": outcome.after.photometric, "epipolar_px": outcome.after.epipolar_px},
        "events": [event.as_numbers() for event in outcome.events],
    }  # fmt: skip


def _table(outcome: "AdaptOutcome") -> Table:
    table = Table("held-back windows", "before", "after", "change")
    rows = {
        "photometric loss": (outcome.before.photometric, outcome.after.photometric),
        "epipolar error, px": (outcome.before.epipolar_px, outcome.after.epipolar_px),
    }
    for name, (before, after) in rows.items():
        table.add_row(name, f"{before:.4f}", f"{after:.4f}", f"{100 * (after / before - 1):+.1f} %")
    return table


def depth_pictures(adapter: "Adapter", outcome: "AdaptOutcome") -> bytes:
    """PNG: a row for each of some held-back windows: its first image, depth before and after, near is red."""
    import cv2

    rows = []
    for k in np.unique(np.linspace(0, len(adapter.probes) - 1, N_PICTURES).astype(int)):
        image = (255 * adapter.probes[k].images[0].permute(1, 2, 0).cpu().numpy()).astype(np.uint8)[..., ::-1]
        inverse = [1 / m.guesses[k].depth[0].clamp(min=1e-6).cpu().numpy() for m in (outcome.before, outcome.after)]
        low, high = np.percentile(inverse, (2, 98))
        maps = [
            cv2.applyColorMap(
                np.clip(255 * (x - low) / max(high - low, 1e-9), 0, 255).astype(np.uint8), cv2.COLORMAP_TURBO
            )
            for x in inverse
        ]  # fmt: skip
        rows.append(np.hstack([np.ascontiguousarray(image), *maps]))
    wide = np.vstack(rows)
    factor = max(1, 640 // wide.shape[1])
    return png_of(cv2.resize(wide, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST))
