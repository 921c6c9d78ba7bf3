"""`python -m bench relocalization`: recall by method, false accepts and kidnapped cameras, on a sequence with truth."""

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bench.relocalization_trials import Kidnap, Query, Recorded
    from vgslam.reloc.proposal import PoseProposer

NAME = "reloc"


@dataclass
class BenchRelocalizationArgs:
    """Relocalization in the map of the first part of a sequence, queried with the rest of it.

    Make the map first: `vgslam run SEQUENCE --end N --map MAP`.
    """

    map: Annotated[Path, tyro.conf.Positional]
    """Folder of the saved map of the sequence's first images."""

    path: Annotated[Path, tyro.conf.Positional]
    """The sequence, with ground truth."""

    truth: Path | None = None
    """Another reference than the sequence's own."""

    weights: str | None = None
    """Network whose ways to propose poses are measured too, `vggt-s` for that of the package."""

    every: int = 10
    """Every n-th image after the mapped ones is a query."""

    foreign: tuple[Path, ...] = ()
    """Sequences of other places: none of their images may be found."""

    n_foreign: int = 100
    """Images asked for of each of them, at most."""

    n_kidnaps: int = 10
    """Trials of each kind (cut, jump, dark); 0 for none."""

    seed: int = 0
    """Where the trials begin."""

    out: Path = Path("out/bench-relocalization")
    """Folder for reloc.json and reloc.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


def run_bench_relocalization(args: BenchRelocalizationArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, InputError, MapError and OutputError with one line."""
    _check(args)
    from bench.relocalization_trials import false_accepts, kidnap_trials, recall_trial
    from vgslam.localizer import Localizer

    def show(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    seq = recorded(args.path, args.truth)
    proposer, learned = _network(args.weights)
    localizer = Localizer(args.map, seq.camera, None, proposer)
    n_mapped = 1 + max(f.frame_id for f in localizer.map.frames)
    frames = list(range(n_mapped, len(seq.images), args.every))
    queries = {}
    for method in ("pnp", *learned) if frames else ():
        queries[method] = recall_trial(localizer, seq, frames, method)
        show(f"recall of {method}: done")
    foreign = {}
    for path in args.foreign:
        images, camera = images_of(path, args.n_foreign)
        foreign[path.name] = false_accepts(args.map, images, camera)
        show(f"{path.name}: {foreign[path.name][0]} of {foreign[path.name][1]} accepted")
    kidnaps = kidnap_trials(args.map, seq, n_mapped, args.n_kidnaps, args.seed, show)
    text = _text(args, n_mapped, queries, foreign, kidnaps)
    about: dict[str, Any] = provenance() | {
        "n_mapped": n_mapped,
        "queries": {name: [asdict(q) for q in rows] for name, rows in queries.items()},
        "foreign": foreign, "kidnaps": [asdict(k) for k in kidnaps],
    }  # fmt: skip
    Console().print(text, soft_wrap=True)
    print(write_record(args.out, NAME, _finite(about), text))
    return 0


def _network(weights: str | None) -> "tuple[PoseProposer | None, tuple[str, ...]]":
    """A network that proposes poses, and the methods that it adds to a localizer."""
    if weights is None:
        return None, ()
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.reloc.learned import network_proposer

    proposer = network_proposer(open_backbone(BackboneOptions(weights), show=print))
    return proposer, proposer.methods


def _finite(value: Any) -> Any:
    """The same with null for numbers that are not finite."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _text(
    args: BenchRelocalizationArgs, n_mapped: int, queries: "dict[str, list[Query]]",
    foreign: dict[str, tuple[int, int]], kidnaps: "list[Kidnap]",
) -> str:  # fmt: skip
    lines = [
        f"{args.path.name}: {n_mapped} images mapped; errors after Sim(3) alignment of the map's frames; unlocalised "
        "counts as infinite. Co-visible: a mapped keyframe sees half of what the query sees at the median depth, from "
        "within 60 degrees. Angles are aligned by the positions, or by the rotations where it says so: the path of the "
        "map may determine its orientation badly.", "",
        "| method | queries | | accepted | 5 cm, 5 deg | 0.25 m, 10 deg | 5 cm, 5 deg (aligned by rotations) "
        "| 0.25 m, 10 deg (aligned by rotations) | median error | median rotation (aligned by rotations) |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|---:|",
    ]  # fmt: skip
    for name, rows in queries.items():
        for label, chosen in (("co-visible", [q for q in rows if q.has_covisible]), ("all", rows)):
            lines.append(_recall_row(name, label, chosen))
    lines += ["", "| images of | accepted |", "|---|---:|"]
    lines += [f"| {name} | {a} of {n} |" for name, (a, n) in foreign.items()]
    lines += [
        "", "| kidnap | trials | recovered within 15 frames | median frames | error before | error after "
        "| within 2 x before | the same frames when mapped: before | after | off by more than 3 x the map's error "
        "| new components |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    kinds = dict.fromkeys(k.kind for k in kidnaps)
    lines += [_kidnap_row(kind, [k for k in kidnaps if k.kind == kind]) for kind in kinds]
    return "\n".join(lines) + f"\n\nCommand: `{shlex.join(['python', '-m', 'bench', *sys.argv[1:]])}`\n"


def _recall_row(name: str, label: str, rows: "list[Query]") -> str:
    from bench.relocalization_trials import LEVELS

    e = np.array([[q.error, q.error_deg, q.error_rotations_deg] for q in rows]).reshape(-1, 3)
    if not len(e):
        return f"| {name} | {label} | 0 |" + " n/a |" * 7
    shares = [f"{((e[:, 0] < t) & (e[:, of] < a)).mean():.1%}" for of in (1, 2) for t, a in LEVELS]
    middle = np.median(e, axis=0)
    accepted = np.mean([q.is_accepted for q in rows])
    error = f"{middle[0]:.3f} m, {middle[1]:.2f} deg"
    return f"| {name} | {label} | {len(e)} | {accepted:.1%} | {' | '.join(shares)} | {error} | {middle[2]:.2f} deg |"


def _kidnap_row(kind: str, rows: "list[Kidnap]") -> str:
    waits = [np.inf if k.frames_to_pose is None else k.frames_to_pose for k in rows]
    before, after = np.array([k.error_before for k in rows]), np.array([k.error_after for k in rows])
    mapped = np.median([[k.mapped_before, k.mapped_after] for k in rows], axis=0)
    return (
        f"| {kind} | {len(rows)} | {sum(w < 15 for w in waits)} | {np.median(waits):.0f} | {np.median(before):.3f} m | "
        f"{np.median(after):.3f} m | {(after <= 2 * before).sum()} (worst {(after / before).max():.2f}) | "
        f"{mapped[0]:.3f} m | {mapped[1]:.3f} m | {sum(k.n_wrong for k in rows)} of {sum(k.n_posed for k in rows)} | "
        f"{sum(k.n_components for k in rows)} |"
    )


def recorded(path: Path, truth: Path | None) -> "Recorded":
    """A sequence with its true poses. InputError if they, or the calibration, are not there for all images."""
    from bench.relocalization_trials import Recorded
    from vgslam.evaluation.association import associate
    from vgslam.sources import open_source
    from vgslam.sources.trajectory_io import read_trajectory
    from vgslam.types import Trajectory

    source = open_source(path)
    reference = source.truth if truth is None else read_trajectory(truth)
    if reference is None or source.camera is None:
        raise InputError(f"{path}: this needs true poses and a calibration")
    frames = list(source)
    times = np.array([f.timestamp_s for f in frames])
    asked = Trajectory(times, np.tile(np.eye(4), (len(times), 1, 1)), np.arange(len(times)), np.zeros(len(times), int))
    mine, true, _ = associate(asked, reference, None)
    if len(mine) != len(frames):
        raise InputError(f"{path}: only {len(mine)} of {len(frames)} images have a true pose")
    return Recorded([f.image for f in frames], times, reference.T_world_cam[true], source.camera)


def images_of(path: Path, n: int) -> tuple[list[Any], Any]:
    """At most n images, spread over a sequence, and their camera. InputError without a calibration."""
    from vgslam.sources import open_source

    source = open_source(path)
    if source.camera is None:
        raise InputError(f"{path}: this needs a calibration")
    images = [f.image for f in source]
    return images[:: max(1, len(images) // n)][:n], source.camera


def _check(args: BenchRelocalizationArgs) -> None:
    if args.every < 1:
        raise ConfigError(f"--every must be 1 or more, got {args.every}")
    claim_folder(args.out, NAME, args.overwrite)
