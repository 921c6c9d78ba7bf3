"""What a step writes: one JSON file with the machine, the settings, and each measurement or why it failed."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vgslam.results.environment import provenance


def arguments(about: str) -> argparse.ArgumentParser:
    """The arguments that every step has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder for the results")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: a trial without a GPU")
    return parser


def wait(device: torch.device) -> None:
    """Until all work on a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device, repeats: int = 5, warm_up: int = 2) -> float:
    """Median wall time of a call, after `warm_up` calls that do not count."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


class Record:
    """Collects a step's measurements and writes them after each one, so that a step cut short keeps what it has."""

    def __init__(self, step: str, device: torch.device, out: Path) -> None:
        self._path = out / f"gpu_{step}.json"
        self.content: dict[str, Any] = _about(step, device) | {"step": step, "measured": {}, "failed": {}}
        out.mkdir(parents=True, exist_ok=True)

    def measure(self, name: str, run: Callable[[], Any]) -> Any:
        """The result of `run`, kept under `name`; what it raises is kept too, and the step goes on (None)."""
        began = time.perf_counter()
        try:
            result = run()
        except Exception as error:
            lines = traceback.format_exc().strip().splitlines()
            self.content["failed"][name] = {"message": f"{type(error).__name__}: {error}"[:2000], "trace": lines[-8:]}
            print(f"{name}: FAILED {type(error).__name__}: {str(error)[:400]}", flush=True)
            result = None
        else:
            self.content["measured"][name] = result
            print(f"{name}: {json.dumps(result)[:1500]}", flush=True)
        self.content.setdefault("seconds", {})[name] = round(time.perf_counter() - began, 2)
        self.write()
        return result

    def write(self) -> None:
        self._path.write_text(json.dumps(self.content, indent=1) + "\n")

    @property
    def exit_code(self) -> int:
        return 1 if self.content["failed"] else 0


def _about(step: str, device: torch.device) -> dict[str, Any]:
    about = provenance() | {"command": shlex.join(["tools/gpu/session.sh", step]), "torch": torch.__version__}
    about["arguments"] = sys.argv[1:]
    about["commit"] = os.environ.get("COMMIT") or about["commit"]
    if device.type == "cuda":
        driver = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        about |= {"card": torch.cuda.get_device_name(device), "driver": driver, "cuda": torch.version.cuda}
    return about
