"""`python -m bench places`: how often a place is recognised by its code, for each way to make codes."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
import tyro
from rich.console import Console

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError
from vgslam.types import Array, Float32, Image

if TYPE_CHECKING:
    from bench.recall import Code, Recall, RecallOptions

NAME = "bench_places"


@dataclass
class BenchPlacesArgs:
    """Recall of place recognition on sequences with true poses: local features, the network's descriptors, thumbnails.

    Two images show the same place when they are within a tenth of the path's extent and 30 degrees of each other.
    """

    paths: Annotated[list[Path], tyro.conf.Positional]
    """Sequences: anything that `vgslam run` takes, with ground truth."""

    gap: int = 50
    """Images less than this far apart in the sequence do not count."""

    weights: str = "vggt-s"
    """Network whose descriptors are measured; "" for none."""

    out: Path = Path("out/bench-places")
    """Folder for bench_places.json and bench_places.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


def run_bench_places(args: BenchPlacesArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, InputError, WeightsError and OutputError with one line."""
    _check(args)
    from bench.recall import RecallOptions, recall

    options = RecallOptions(gap=args.gap)
    methods = _methods(args.weights)
    rows: list[tuple[str, str, Recall]] = []
    for path in args.paths:
        images, poses = _posed_images(path)
        for name, code in methods.items():
            rows.append((path.name, name, recall(images, poses, code, options)))
            print(f"{path.name}, {name}: done", file=sys.stderr)
    table = _table(rows, options)
    about = provenance() | {
        "options": asdict(options),
        "rows": [{"sequence": s, "codes": m} | asdict(r) for s, m, r in rows],
    }  # fmt: skip
    Console().print(table, soft_wrap=True)
    print(write_record(args.out, NAME, about, table))
    return 0


def _methods(weights: str) -> "dict[str, Code]":
    from vgslam.frontend.matching import describe_quick
    from vgslam.network.options import NetworkOptions
    from vgslam.reloc.places import N_FEATURES
    from vgslam.reloc.vocabulary import shipped_vocabulary
    from vgslam.session.network import open_network

    def local(_: int, image: Image) -> Array:
        found = describe_quick(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), N_FEATURES)
        return _signs(shipped_vocabulary().bits(found.descriptors))

    def thumbnail(_: int, image: Image) -> Array:
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (40, 30), interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), 1.5).astype(np.float64).ravel()
        blurred -= blurred.mean()
        return np.asarray(blurred / (np.linalg.norm(blurred) + 1e-9))

    methods: dict[str, Code] = {"local features": local, "thumbnails": thumbnail}
    opened = open_network(NetworkOptions("vggt", weights), print) if weights else None
    if opened is not None:
        backbone = opened.backbone

        def described(_: int, image: Image) -> Array:
            prepared = backbone.prepare([image])
            scene = backbone.decode(backbone.encode(prepared, ()), prepared, ())
            return _signs(bits_of_vector(scene.descriptors[0]))

        methods[f"network ({weights})"] = described
    return methods


def bits_of_vector(vector: Float32) -> np.ndarray:
    """Code (256,) uint8 of a descriptor (D,): the sides of 2048 random hyperplanes that it lies on. The expected share
    of equal bits is 1 - angle / pi (Charikar, STOC 2002)."""
    planes = np.random.default_rng(7).normal(size=(len(vector), 2048)).astype(np.float32)
    return np.packbits(vector @ planes > 0)


def _signs(bits: np.ndarray) -> Array:
    """Code as a unit vector whose dot product is the likeness of `PlaceIndex`."""
    signs = 2.0 * np.unpackbits(bits) - 1.0
    return signs / np.sqrt(len(signs))


def _posed_images(path: Path) -> tuple[list[Image], Array]:
    from vgslam.evaluation.association import associate
    from vgslam.sources import open_source
    from vgslam.types import Trajectory

    source = open_source(path)
    if source.truth is None:
        raise InputError(f"{path}: recall needs true poses; give a sequence with ground truth")
    frames = list(source)
    times = np.array([f.timestamp_s for f in frames])
    asked = Trajectory(times, np.tile(np.eye(4), (len(times), 1, 1)), np.arange(len(times)), np.zeros(len(times), int))
    mine, true, _ = associate(asked, source.truth, None)
    return [frames[i].image for i in mine.tolist()], source.truth.T_world_cam[true]


def _table(rows: "list[tuple[str, str, Recall]]", options: "RecallOptions") -> str:
    head = "| sequence | codes | queries | " + " | ".join(f"recall@{n}" for n in options.at) + " |"
    lines = [head, "|---|---|---:|" + "---:|" * len(options.at)]
    lines += [f"| {s} | {m} | {r.n_queries} | " + " | ".join(f"{x:.0%}" for x in r.shares) + " |" for s, m, r in rows]
    return "\n".join(lines) + "\n"


def _check(args: BenchPlacesArgs) -> None:
    if args.gap < 0:
        raise ConfigError(f"--gap must be 0 or more, got {args.gap}")
    claim_folder(args.out, NAME, args.overwrite)
