"""`vgslam train`: trains a network from scratch, or the relocalization adapter of one, on procedural worlds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class TrainArgs:
    """Trains a network as a recipe says: renders its data, trains, validates; call again to continue after a stop. With
    several GPUs: `torchrun --nproc-per-node N -m vgslam train CONFIG`."""

    config: Annotated[Path, tyro.conf.Positional]
    """Recipe (YAML); see configs/. One with a section `adapter` trains relocalization on its base network."""
    out: Path = Path("out/train")
    """Folder for checkpoint.pt, weights.safetensors (averaged, fp16), log.jsonl and validation tables."""
    data: Path | None = None
    """Folder of the rendered clips; the recipe's own by default."""
    device: str = "auto"
    """Run the network on cpu, cuda, cuda:N or mps."""
    threads: int = 0
    """CPU threads of the network; 0 leaves it to torch."""
    max_minutes: float | None = None
    """Stop cleanly after this many minutes; the same command continues from there."""
    changed: bool = False
    """Continue from a checkpoint even if the recipe has changed since."""


def run_train(args: TrainArgs) -> int:
    """Trains; returns 0. ConfigError, WeightsError and OutputError as the loop; Ctrl-C keeps the last checkpoint."""
    from vgslam.network.options import require_torch

    require_torch("vgslam train")
    import torch

    from vgslam.network.precision import choose_device
    from vgslam_train.training.loop import RunLimits
    from vgslam_train.training.session import train

    if args.threads:
        torch.set_num_threads(args.threads)
    limit_s = float("inf") if args.max_minutes is None else 60 * args.max_minutes
    train(args.config, args.out, RunLimits(choose_device(args.device), limit_s, args.changed), args.data)
    return 0
