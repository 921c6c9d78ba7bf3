"""The environment of a run: machine, version, commit, peak memory."""

import os
import platform
import resource
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vgslam import beside


@dataclass(frozen=True)
class Machine:
    """cores: those this process may use."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str


def describe_machine() -> Machine:
    """The machine that this process runs on."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (OSError, ValueError, AttributeError):
        memory = 0.0
    system = f"{platform.system()} {platform.machine()}"
    return Machine(_cpu_name(), beside.cores(), round(memory, 1), system, platform.python_version())


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def provenance() -> dict[str, Any]:
    """The origin of a recorded figure, as plain JSON types: command, version, commit, machine."""
    return {
        "command": shlex.join(["vgslam", *sys.argv[1:]]), "version": package_version(), "commit": git_commit(),
        "machine": asdict(describe_machine()),
    }  # fmt: skip


def package_version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("vgslam")
    except metadata.PackageNotFoundError:
        return "unknown"


def git_commit() -> str | None:
    """Commit of the checkout that the package runs from, with '+changes' when its tracked files differ; else None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]  # a killed one leaves no lock
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def peak_memory_mib() -> float:
    """Peak resident memory in MiB, from /proc if there is one: getrusage's is inherited from the parent across exec."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
