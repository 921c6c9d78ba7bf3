"""Each extra of the package in a fresh virtual environment, installed from the wheel.

python tools/extras_check.py [--out out/extras] [NAME ...]

Without an extra, the command that needs it says what to install; with it, its libraries are imported and the command
runs. The wheel is small. Every environment is deleted when it has been checked; it takes gigabytes for the time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "vgslam" / "assets" / "demo"
MAX_WHEEL_MB = 25
MISSING, NOT_BETTER = 6, 1
"""Exit codes: a package is missing; two steps of training did not better what was held back."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
"""For every process: a checkout on the path counts for pip as the package installed."""
PEERS = ROOT / "tests" / "ros2_peers.py"
TOPIC = "/camera/image_raw"
N_IMAGES = 40
TAIL = 400
"""Characters of an output that are shown when something is wrong."""


@dataclass(frozen=True)
class Extra:
    """One extra: what it has to bring."""

    modules: tuple[str, ...]
    command: tuple[str, ...]
    """What needs it, after `vgslam`; WORK stands for a folder with `map`, DEMO for the demo's."""
    says: str | None = None
    """Words of the line without it; by default the extra by its name."""
    ends: tuple[int, ...] = (0,)
    """Exit codes that are in order."""
    hears: bool = False
    """Whether a node of ROS 2 has to send images meanwhile."""


SHORT = ("run", "DEMO/demo.mp4", "--max-frames", "20", "--overwrite")
ADAPT = ("adapt", "DEMO/demo.mp4", "--fov-deg", "75", "--steps", "2", "--no-rehearse", "--max-frames", "150")
TRAIN = ("train", "WORK/recipe.yaml", "--data", "WORK/clips", "--out", "WORK/trained")
RECIPE = "data: {n_clips: 2, n_validation_clips: 1}\nphases: [{n_steps: 2, n_frames: 2, batch_size: 2}]\n"
LIVE = ("live", f"ros2:{TOPIC}", "--every-frame", "--max-frames", "20", "--poses", "ros2:/check", "--out", "WORK/live")
NETWORK = "vgslam[network]"
EXTRAS = {
    "eval": Extra(("evo",), ("eval", "DEMO/groundtruth.txt", "DEMO/groundtruth.txt")),
    "mesh": Extra(("open3d",), ("map", "export", "WORK/map", "--format", "mesh", "--out", "WORK/mesh.ply")),
    "viewer": Extra(("rerun",), (*SHORT, "--viewer", "WORK/a.rrd", "--out", "WORK/viewed")),
    "network": Extra(("torch",), (*SHORT, "--network", "vggt", "--out", "WORK/network")),
    "adapt": Extra(("torch",), (*ADAPT, "--out", "WORK/adapter.safetensors"), NETWORK, (0, NOT_BETTER)),
    "train": Extra(("torch",), TRAIN, NETWORK),
    "ros2": Extra(("rclpy", "sensor_msgs", "nav_msgs", "geometry_msgs"), LIVE, hears=True),
    "fleet": Extra(("ray", "fsspec", "pyarrow"), ("fleet", "map", "DEMO/demo.mp4", "--out", "WORK/fleet")),
}
NOT_CHECKED = {
    "all": "the others together", "dev": "tools of a checkout, which has no wheel", "mutation": "the same",
    "docs": "the same; `make site` installs and uses it",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Builds the wheel, checks it and the extras that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check the extras of the package.")
    parser.add_argument("names", nargs="*", help="extras; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "extras")
    options = parser.parse_args(arguments)
    names = options.names or list(EXTRAS)
    if unknown := [name for name in names if name not in EXTRAS]:
        parser.error(f"no extra {', '.join(unknown)}; there are {', '.join(EXTRAS)}")
    shutil.rmtree(options.out, ignore_errors=True)
    work = options.out.resolve() / "work"
    work.mkdir(parents=True)
    (work / "recipe.yaml").write_text(RECIPE)
    wheel = built(work.parent)
    wrong = [] if wheel.stat().st_size <= MAX_WHEEL_MB * 1e6 else [f"{wheel.name} is larger than {MAX_WHEEL_MB} MB"]
    wrong += without_extras(wheel, names, work)
    for name in names:
        if wrong:  # an environment takes minutes: what is known is told
            print(*wrong, sep="\n", flush=True)
        wrong += with_extra(wheel, name, work)
    good = f"extras: {', '.join(names)}: in order; {wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB"
    print("\n".join(wrong) or good)
    return int(bool(wrong))


def built(folder: Path) -> Path:
    """The wheel of this checkout, the same for every environment, without what an earlier one left in build/."""
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return next(folder.glob("*.whl"))


def without_extras(wheel: Path, names: list[str], work: Path) -> list[str]:
    """What is wrong in an environment with the package alone: it runs, and each command says what it lacks."""
    venv = installed(wheel, "", work.parent / "venv-plain")
    run = ("run", "DEMO/demo.mp4", "--max-frames", "60", "--map", "WORK/map", "--out", "WORK/run", "--quiet")
    code, text = called(venv, run, work)
    wrong = [] if code == 0 else [f"the package alone: vgslam run ends with {code}: {text[-TAIL:]}"]
    for name in names:
        code, text = called(venv, EXTRAS[name].command, work)
        says = EXTRAS[name].says or f"vgslam[{name}]"
        if code != MISSING or says not in text:
            wrong.append(f"without {name}: exit code {code}, not {MISSING}, or no word of '{says}': {text[-TAIL:]}")
    shutil.rmtree(venv)
    return wrong


def with_extra(wheel: Path, name: str, work: Path) -> list[str]:
    """What is wrong in an environment with one extra: its modules are imported, its command runs."""
    venv = installed(wheel, f"[{name}]", work.parent / f"venv-{name}")
    imports = "; ".join(f"import {module}" for module in EXTRAS[name].modules)
    done = _heard([venv / "bin" / "python", "-c", imports], work)
    wrong = [f"{name}: {done.stderr[-TAIL:]}"] if done.returncode else []
    extra = EXTRAS[name]
    with camera(venv, work) if extra.hears else nullcontext():
        code, text = called(venv, extra.command, work)
    wrong += [f"{name}: vgslam {extra.command[0]} ends with {code}: {text[-TAIL:]}"] if code not in extra.ends else []
    shutil.rmtree(venv)
    return wrong


@contextmanager
def camera(venv: Path, work: Path) -> Iterator[None]:
    """A node of ROS 2 that sends the demo's images for the time, of the environment's own packages."""
    sys.path.insert(0, str(ROOT / "tests"))
    from ros2_peers import CameraNode, environment

    from vgslam import open_source
    from vgslam.sources import SourceOptions

    frames = open_source(DEMO / "demo.mp4", SourceOptions(max_frames=N_IMAGES))
    np.save(work / "images.npy", np.stack([frame.image for frame in frames]))
    settings = CameraNode(str(work / "images.npy"), TOPIC, repeats=True)
    ENVIRONMENT.update(environment(work))
    command = [venv / "bin" / "python", PEERS, "camera", json.dumps(asdict(settings))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as sender:
        try:
            yield
        finally:
            sender.kill()


def installed(wheel: Path, extra: str, venv: Path) -> Path:
    """A fresh environment with the wheel and one extra, the versions as in constraints.txt."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, env=ENVIRONMENT)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{wheel}{extra}", "-c", ROOT / "constraints.txt"], check=True, env=ENVIRONMENT)
    size = subprocess.run(["du", "-sm", venv], check=True, capture_output=True, text=True).stdout.split()[0]
    print(f"{extra or 'no extra'}: {size} MiB, {time.monotonic() - began_s:.0f} s", flush=True)
    return venv


def called(venv: Path, words: tuple[str, ...], work: Path) -> tuple[int, str]:
    """Exit code and output of `vgslam` in an environment, away from the checkout."""
    command = [word.replace("WORK", str(work)).replace("DEMO", str(DEMO)) for word in words]
    done = _heard([venv / "bin" / "vgslam", *command], work)
    return done.returncode, done.stdout + done.stderr


def _heard(command: list[str | Path], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
