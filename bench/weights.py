"""`python -m bench weights`: a network's errors on windows that it was not trained on, and those of a trivial guess."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.record import provenance, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    from vgslam.network.weights_info import WeightsInfo
    from vgslam_train.validation.validate import Predictor, ValidationSet

NAME = "bench_weights"
TIMED_FRAMES = 4


@dataclass
class BenchWeightsArgs:
    """Poses and depth of fixed windows of unseen rendered worlds and of recorded sequences: a table and JSON."""

    weights: str = "vggt-s"
    """Weights: a name of the package, a Hugging Face id, a file or a folder; NAME:WEIGHTS for a backbone other than
    vggt, as in da3-small:FOLDER."""

    data: Path = Path("training_data/val")
    """Folder of the rendered validation clips; rendered there where they are missing (minutes)."""

    clips: int = 192
    """Number of rendered clips."""

    width_px: int | None = None
    """Width of the images; the default is that of the network, 252 for a backbone other than vggt."""

    sequences: Path | None = None
    """Folder of recorded sequences (kitti00_f000-199, 7scenes_redkitchen_seq01, tum_fr3_cabinet_58)."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    threads: int = 1
    """CPU threads."""

    out: Path = Path("out/bench-weights")
    """Folder for the table and the JSON."""


def run_bench_weights(args: BenchWeightsArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, WeightsError and OutputError with one line each."""
    import torch

    from vgslam_train.validation.validate import validate

    torch.set_num_threads(max(args.threads, 1))
    measured = _open(args)
    table = validate(measured.guess, _sets(args, measured.width_px))
    seconds = _window_seconds(measured)
    info = measured.info
    about = provenance() | {
        "weights": info.model_id, "sha256": info.sha256, "n_parameters": info.n_parameters,
        "ms_per_window_of_4": round(1e3 * seconds, 1),
    }  # fmt: skip
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    text = f"{head}\n\nRotations in degrees, median / mean; directions in degrees, medians of all / not forward.\n\n"
    page = f"# Windows seen by {args.weights}\n\n{text}{table.to_markdown()}"
    args.out.mkdir(parents=True, exist_ok=True)
    written = write_record(args.out, NAME, about | {"rows": json.loads(table.to_json())}, page)
    Console().print(table.to_markdown(), soft_wrap=True)
    print(f"{1e3 * seconds:.0f} ms for a window of {TIMED_FRAMES} frames; {written}")
    return 0


@dataclass(frozen=True)
class _Subject:
    """A network that is measured."""

    guess: "Predictor"
    info: "WeightsInfo"
    width_px: int


def _open(args: BenchWeightsArgs) -> _Subject:
    """The network that the arguments name. ConfigError for one whose images cannot have any shape."""
    from vgslam.network.open_backbone import BACKBONES, BackboneOptions, open_backbone
    from vgslam.network.precision import choose_device
    from vgslam.network.weights import LoadOptions, load
    from vgslam_train.validation.model_guess import ModelGuess

    name, _, weights = args.weights.partition(":")
    if name != "vggt" and weights != "" and name in BACKBONES.names():
        from bench.backbone_guess import BackboneGuess

        width = args.width_px or 252
        size = width if name.startswith("da3-") else None
        backbone = open_backbone(BackboneOptions(weights, name, args.device, size_px=size), print)
        return _Subject(BackboneGuess(backbone), backbone.weights, width)
    device = choose_device(args.device)
    loaded = load(args.weights, LoadOptions(device), print)
    config = loaded.model.config
    if not config.keeps_area:
        raise ConfigError(f"{args.weights}: only networks for small images of any shape are measured here")
    return _Subject(ModelGuess(loaded.model, device), loaded.info, args.width_px or config.image_size)


def _sets(args: BenchWeightsArgs, width: int) -> "list[ValidationSet]":
    from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
    from vgslam_train.validation.validate import procedural_sets, real_sets

    clip_width = max(128, -(-10 * width // 7 // 16) * 16)  # room for crops, and whole cells
    size = ClipConfig(is_validation=True, height=3 * clip_width // 4, width=clip_width)
    generate_clips(args.data, size, args.clips, 1, print)
    sets = procedural_sets(ClipSet.open(args.data, args.clips), size=(3 * width // 4, width))
    if args.sequences is not None:
        sets += real_sets(args.sequences, size_px=width)
    return sets


def _window_seconds(measured: _Subject) -> float:
    """Median time of one window of TIMED_FRAMES frames of the usual size, network and solver, on noise."""
    import torch

    from vgslam_train.data.windows import WindowBatch

    width = measured.width_px
    height = 3 * width // 4
    K = torch.tensor([[[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]]], dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(1, TIMED_FRAMES, 1, 1)
    images = torch.rand(1, TIMED_FRAMES, 3, height, width)
    window = WindowBatch(images, torch.ones(1, TIMED_FRAMES, height, width), poses, K)
    times = []
    for _ in range(15):
        began = time.perf_counter()
        measured.guess(window)
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]
