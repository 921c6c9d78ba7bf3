"""Adaptation of the small networks to a rendered video unlike those of their training: its time and what it gains."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.adapt_domains import SHIFTED, SHIFTED_SEED, split
from tools.gpu.record import Record, arguments, wait
from vgslam.adapt.adapter import AdaptConfig, Adapter
from vgslam.adapt.offline import run_rounds
from vgslam.adapt.safeguards import OFFLINE
from vgslam.adapt.trainer import Trainable, TrainConfig
from vgslam.network.vggt import Vggt, build
from vgslam.network.weight_files import packaged
from vgslam.network.weights import LoadOptions, load
from vgslam_train.presets import PRESETS


def opened(name: str, device: torch.device) -> tuple[Vggt, bool]:
    """Weights by name or file; random ones of that preset if there are none (False), which is enough to time it."""
    if packaged(name) is not None or Path(name).is_file():
        return load(name, LoadOptions(device)).model, True
    return build(PRESETS[name], 0, device), False


def adapted(name: str, device: torch.device, frames: int, steps: int) -> dict[str, Any]:
    """Seconds a step and what the windows that are held back say, before and after."""
    model, is_trained = opened(name, device)
    video = SHIFTED["side"].film(SHIFTED_SEED, frames)
    parts = split(video, model.config)
    train = TrainConfig(Trainable.ALL, steps=steps, batch=4, learning_rate=2e-3, ema=0.98)
    adapter = Adapter(model, AdaptConfig(train, limits=OFFLINE, max_probes=8))
    for held_back, windows in ((True, parts.held_back), (False, parts.training)):
        for window in windows:
            adapter.keep(window, held_back)
    before = adapter.measure_start()
    times: list[float] = []
    last = time.perf_counter()

    def count(_: int, __: float) -> None:
        nonlocal last
        wait(device)
        now = time.perf_counter()
        times.append(now - last)
        last = now

    run_rounds(adapter, steps, count)
    after = adapter.measure_served()
    return {
        "weights": name, "is_trained": is_trained, "step_s": round(sorted(times)[len(times) // 2], 4),
        "n_training": len(parts.training), "n_held_back": len(parts.held_back), "steps": steps,
        "photometric": [before.photometric, after.photometric], "epipolar_px": [before.epipolar_px, after.epipolar_px],
        "events": [event.as_numbers() for event in adapter.events],
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--weights", nargs="+", default=["vggt-s", "vggt-s2"], help="presets or files")
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    record = Record("adapt", device, args.out)
    frames, steps = (48, 2) if args.tiny else (240, 30)
    for name in args.weights[:1] if args.tiny else args.weights:
        record.measure(f"{Path(name).stem} {device.type}", partial(adapted, name, device, frames, steps))
        if device.type != "cpu":
            record.measure(f"{Path(name).stem} cpu", partial(adapted, name, torch.device("cpu"), frames, 3))
    return record.exit_code


if __name__ == "__main__":
    sys.exit(main())
