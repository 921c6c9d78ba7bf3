"""`vgslam doctor`: what is installed, what is missing, and whether it works."""

import json
import sys
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import av
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgslam.byte_size import format_size, free_bytes
from vgslam.commands.cells import cell
from vgslam.commands.checks import COLORS, Check, Level
from vgslam.commands.licences import print_licences
from vgslam.commands.self_test import SelfTest, self_test
from vgslam.guards.wording import say, say_meanwhile, shown
from vgslam.network.options import HOW_TO_INSTALL, has_torch, is_installed
from vgslam.plugins import OWN, Registry
from vgslam.results.environment import describe_machine, git_commit, package_version

LIBRARIES = ("numpy", "opencv-python-headless", "gtsam", "pycolmap", "av", "faiss-cpu", "rosbags", "tyro")
EXTRAS = {
    "torch": ("networks (--network)", HOW_TO_INSTALL),
    "evo": ("scores against a reference", "pip install 'vgslam[eval]'"),
    "rerun": ("--viewer", "pip install 'vgslam[viewer]'"),
    "open3d": ("meshes", "pip install 'vgslam[mesh]'"),
    "pyarrow": ("vgslam fleet", "pip install 'vgslam[fleet]'"),
    "ray": ("vgslam fleet on a cluster", "pip install 'vgslam[fleet]'"),
    "rclpy": ("ROS 2 topics", "comes with a ROS 2 installation; where there is none: pip install 'vgslam[ros2]'"),
}
"""Optional modules, each with its purpose and how to install it."""
DECODERS = ("h264", "hevc", "mjpeg", "mpeg4", "vp9", "av1")
LOW_MEMORY_BYTES = 2 * 2**30


@dataclass
class DoctorArgs:
    """Examines the installation: versions, GPU, memory, codecs, weights and their licences, extras, plug-ins, and a
    self-test on a rendered sequence. The exit code is 1 when something is broken."""

    json: bool = False
    """Print JSON instead of a table."""
    licences: bool = False
    """List every dependency and all weights with their licences instead."""
    self_test: bool = True
    """Track a few seconds of a rendered sequence and compare with its truth."""


def run_doctor(args: DoctorArgs) -> int:
    """Prints the checks; returns 0, or 1 when one has failed."""
    if args.licences:
        return print_licences(_weights(), args.json)
    say_meanwhile("loading every package, and tracking a rendered room" if args.self_test else "loading every package")
    checks = examine()
    tested = self_test() if args.self_test else None
    if tested is not None:
        checks.append(_of_self_test(tested))
    healthy = all(c.verdict is not Level.FAILED for c in checks)
    if args.json:
        out: dict[str, Any] = {"healthy": healthy, "checks": [asdict(c) for c in checks]}
        out["self_test"] = None if tested is None else asdict(tested)
        say(json.dumps(out, indent=2, allow_nan=False))
    else:
        _print(checks, healthy)
    return 0 if healthy else 1


def examine() -> list[Check]:
    """All checks but the self-test."""
    return [*_versions(), *_machine(), _gpu(), _codecs(), *_weights(), *_extras(), *_plug_ins()]


def _versions() -> list[Check]:
    commit = git_commit()
    about = package_version() + (f", commit {commit[:12]}" if commit else "")
    python = f"{describe_machine().python} in {sys.prefix}"
    checks = [Check("versions", "vgslam", Level.OK, about), Check("versions", "python", Level.OK, python)]
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if not missing:
        return [*checks, Check("versions", "libraries", Level.OK, ", ".join(found))]
    advice = "pip install " + " ".join(missing)
    lacking = f"missing: {', '.join(missing)}; there: {', '.join(found)}"
    # another build of OpenCV will do; the self-test finds what cannot be imported
    return [*checks, Check("versions", "libraries", Level.WARNING, lacking, advice)]


def _machine() -> list[Check]:
    m = describe_machine()
    cores = f"{m.cpu}, {m.cores} core{'s' if m.cores != 1 else ''} for this process, {m.system}"
    free = free_bytes()
    memory = f"{m.memory_gib:.1f} GiB" + (f", {format_size(free)} free" if free is not None else "")
    is_low = free is not None and free < LOW_MEMORY_BYTES
    advice = "close other programs, or lower --memory of run" if is_low else ""
    return [
        Check("machine", "processor", Level.OK, cores),
        Check("machine", "memory", Level.WARNING if is_low else Level.OK, memory, advice),
    ]


def _gpu() -> Check:
    if not has_torch():
        return Check("machine", "GPU", Level.INFO, "not looked for, as torch is not installed")
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("machine", "GPU", Level.WARNING, f"torch cannot be loaded ({error})", "pip install torch")
    if torch.cuda.is_available():
        about = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        names = ", ".join(f"{p.name} with {format_size(p.total_memory)}" for p in about)
        return Check("machine", "GPU", Level.OK, f"{names}, CUDA {torch.version.cuda}")
    if torch.backends.mps.is_available():
        return Check("machine", "GPU", Level.OK, "Apple GPU (mps)")
    build = f"torch {torch.__version__} sees no GPU"
    advice = "nothing to do for --network none; the large networks need one to be quick"
    return Check("machine", "GPU", Level.INFO, build, advice)


def _codecs() -> Check:
    there = [c for c in DECODERS if _decodes(c)]
    missing = [c for c in DECODERS if c not in there]
    about = f"decodes {', '.join(there) or 'nothing'} (PyAV {av.__version__})"
    if "h264" in missing:
        return Check("codecs", "video", Level.FAILED, about, "pip install --force-reinstall av")
    advice = f"{', '.join(missing)} video must be converted first" if missing else ""
    return Check("codecs", "video", Level.INFO if missing else Level.OK, about, advice)


def _decodes(codec: str) -> bool:
    try:
        av.codec.Codec(codec, "r")
    except (ValueError, LookupError):
        return False
    return True


def _weights() -> list[Check]:
    """Weights in the package and in Hugging Face's cache, each with its licence."""
    try:
        from vgslam.network.da3.find import PUBLISHED
        from vgslam.network.licence import BY_HUB_ID
    except (ImportError, OSError) as error:
        return [Check("weights", "network", Level.WARNING, f"the network cannot be loaded ({error})")]
    folder = Path(str(resources.files("vgslam"))) / "assets" / "weights"
    checks = [
        Check("weights", path.stem, Level.OK, f"in the package, {format_size(path.stat().st_size)}", _licence(path))
        for path in sorted(folder.rglob("*.safetensors"))
    ]
    if not checks:
        advice = "--network none needs none; otherwise give --weights"
        checks.append(Check("weights", "in the package", Level.INFO, "none", advice))
    published = [(hub_id, licence, f"--weights {hub_id}") for hub_id, licence in BY_HUB_ID.items()]
    published += [(weights.repo, weights.licence, f"--network {name}") for name, weights in PUBLISHED.items()]
    for hub_id, licence, option in published:
        is_there = _is_cached(hub_id)
        found = "in the Hugging Face cache" if is_there else f"not here; {option} fetches it"
        checks.append(Check("weights", hub_id, Level.OK if is_there else Level.INFO, found, licence.terms))
    return checks


def _licence(path: Path) -> str:
    from safetensors import safe_open

    from vgslam.network.licence import UNKNOWN, named
    from vgslam.network.weight_files import METADATA_LICENCE

    try:
        with safe_open(path, framework="numpy") as file:
            name = (file.metadata() or {}).get(METADATA_LICENCE)
    except Exception as error:  # safetensors raises its own kinds
        return f"cannot be read: {error}"
    return named(name).terms if name else UNKNOWN.terms


def _is_cached(hub_id: str) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # it comes with the networks
        return False
    names = ("model.safetensors", "model.pt", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(hub_id, name), str) for name in names)


def _extras() -> list[Check]:
    checks = []
    for module, (use, install) in EXTRAS.items():
        is_there = is_installed(module)
        found = f"installed, for {use}" if is_there else f"not installed; only for {use}"
        verdict = Level.OK if is_there else Level.INFO
        checks.append(Check("extras", module, verdict, found, "" if is_there else install))
    return checks


def _plug_ins() -> list[Check]:
    """The names in each registry, and which of them other packages have added."""
    checks = []
    for registry in _registries():
        rows = registry.listed()
        found = ", ".join(row.name if row.origin == OWN else f"{row.name} ({row.origin})" for row in rows)
        checks.append(Check("plug-ins", f"{registry.what}s", Level.OK, found, f"entry points: {registry.group}"))
        checks += [Check("plug-ins", row.name, Level.WARNING, row.problem) for row in rows if row.problem]
    return checks


def _registries() -> list[Registry[Any]]:
    from vgslam.poses_out.open import POSE_SINKS
    from vgslam.reloc.verifiers import LOOP_VERIFIERS
    from vgslam.sources.kinds import SOURCE_KINDS

    registries: list[Registry[Any]] = [SOURCE_KINDS, POSE_SINKS, LOOP_VERIFIERS]
    try:
        from vgslam.network.open_backbone import BACKBONES
    except (ImportError, OSError):  # the check of the weights reports it
        return registries
    return [*registries, BACKBONES]


def _of_self_test(tested: SelfTest) -> Check:
    ate = "" if tested.ate_m is None else f", ATE {tested.ate_m:.4f} m"
    found = f"{tested.n_poses} of {tested.n_frames} frames with a pose{ate}, {tested.seconds:.1f} s"
    if not tested.problem:
        return Check("self-test", "rendered room", Level.OK, found)
    advice = "install the package again; if it stays, report it with the output of vgslam doctor --json"
    return Check("self-test", "rendered room", Level.FAILED, f"{tested.problem} ({found})", advice)


def _print(checks: list[Check], healthy: bool) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    topic = ""
    for c in checks:
        about = Text(shown(c.found)) + Text(f"\n{shown(c.advice)}" if c.advice else "", style="dim")
        table.add_row(
            c.topic if c.topic != topic else "", cell(c.name), Text(c.verdict.value, style=COLORS[c.verdict]), about
        )
        topic = c.topic
    console = Console()
    console.print(table)
    console.print("everything that is needed works" if healthy else "something is broken: see above")
