"""The averaged weights of a running or stopped training as a file for --weights, at any moment.

    python tools/export_checkpoint.py CONFIG FOLDER [--out FILE]

FOLDER holds checkpoint.pt of a training by CONFIG (`vgslam train CONFIG --out FOLDER`); by default the file is
FOLDER/step_N.safetensors. The training is not disturbed.
"""

import argparse
import sys
from pathlib import Path

import torch

from vgslam.config import read_yaml
from vgslam.errors import VgslamError, WeightsError
from vgslam_train.training.checkpoint import load_checkpoint
from vgslam_train.training.loop import averaged, fresh_state
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.vggt_job import VggtJob


def export(config: Path, folder: Path, out: Path | None = None) -> Path:
    """Writes the file; returns its path. ConfigError and WeightsError as `load_checkpoint`."""
    job = VggtJob(read_yaml(config, Recipe()), torch.device("cpu"))
    state = fresh_state(job.build(), job.recipe)
    if not load_checkpoint(state, job.recipe, folder, may_differ=True):
        raise WeightsError(f"{folder} holds no checkpoint.pt: it appears after the first steps")
    out = out or folder / f"step_{state.step}.safetensors"
    job.save(averaged(state, job), out, state.step)
    return out


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    try:
        print(export(args.config, args.folder, args.out))
    except VgslamError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
