"""`python -m bench adapt-starts`: what adaptation brings where the network is asked, at starts that geometry does not
find."""

import copy
import itertools
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.adapt import BenchAdaptArgs, adapter_of, changed
from bench.record import claim_folder, provenance, write_record

if TYPE_CHECKING:
    from vgslam.frontend.guide import Guide
    from vgslam.network.vggt import Vggt
    from vgslam.types import Array, WindowInput
    from vgslam_train.worlds.sequences import Sequence

NAME = "adapt_starts"
GAPS = (1, 2, 3)  # frames between the two views of a start
N_CORNERS = 500


@dataclass
class BenchAdaptStartsArgs:
    """Rendered worlds of a kind that the network was not trained on. In parts of the film that adaptation never saw,
    each pair of frames is a start that is asked for: of the network as it ships, and as adapted to the rest. How many
    the tracks agree with, and how far those are from the truth."""

    weights: str = "vggt-s"
    """Weights to adapt."""

    seeds: int = 5
    """Worlds of each domain."""

    first_seed: int = 0
    """Number of the first of them."""

    domain: Literal["side", "wide"] = "side"
    """As in `bench adapt`."""

    trainable: Literal["lora", "heads", "all"] = "lora"
    """What is trained; runs with `--adapt` train lora."""

    steps: int = 300
    """Training steps for each world."""

    frames: int = 600
    """Frames of a film."""

    out: Path = Path("out/bench-adapt-starts")
    """Folder for the table and the JSON."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class StartError:
    """A start that was believed, against the truth."""

    rotation_deg: float
    direction_deg: float
    """Between the directions of the motion."""
    translation: float
    """Error of the second position, as a share of the way: both paths in units of their landmarks' median depth."""
    depth: float
    """Median error of the landmarks' depth, relative, in the same units."""


@dataclass(frozen=True)
class Asked:
    """What became of the starts of a film that were asked for."""

    n_asked: int
    believed: dict[str, StartError]  # by the first frame and the gap


def run_bench_adapt_starts(args: BenchAdaptStartsArgs) -> int:
    """Measures, prints and writes after each world; returns 0."""
    import torch

    from bench.adapt_domains import SHIFTED, SHIFTED_SEED
    from vgslam.network.weights import load

    torch.set_num_threads(1)
    claim_folder(args.out, NAME, args.overwrite)
    loaded = load(args.weights, show=print)
    about: dict[str, Any] = provenance() | {
        "weights": loaded.info.model_id, "domain": args.domain, "trainable": args.trainable, "steps": args.steps,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        film = SHIFTED[args.domain].film(SHIFTED_SEED + seed, args.frames)
        model, steps = adapted(loaded.model, film, args, seed)
        before, after = (starts(_guide(m, loaded), film) for m in (loaded.model, model))
        rows.append({"name": f"{args.domain} {seed}", "steps": steps, "before": asdict(before), "after": asdict(after)})
        rows[-1]["both"] = in_common(before, after)
        write_record(args.out, NAME, about | {"rows": rows}, page(about, rows))
        print(table(rows[-1:])[-1])
    print(f"results: {args.out}/{NAME}.md")
    return 0


def adapted(model: "Vggt", film: "Sequence", args: BenchAdaptStartsArgs, seed: int) -> "tuple[Vggt, int]":
    """The network after rounds on the film's training windows, and the steps that were committed."""
    from bench.adapt_domains import split
    from vgslam.adapt.offline import run_rounds

    like = BenchAdaptArgs(trainable=args.trainable, steps=args.steps)
    adapter = adapter_of(model, split(film, model.config), like, seed)
    run_rounds(adapter, args.steps)
    adapter.measure_served()
    return copy.deepcopy(adapter.trainer.model), adapter.step


def starts(guide: "Guide", film: "Sequence") -> Asked:
    """Asks for a start at each pair of frames of the blocks that nobody learned from."""
    from bench.adapt_domains import BLOCK
    from vgslam.frontend.network_start import verified_start

    n_asked, believed = 0, {}
    for block in range(1, len(film) // BLOCK, 3):
        for gap in GAPS:
            for k in range(block * BLOCK, (block + 1) * BLOCK - gap, 2):
                window = tracked(film, k, k + gap)
                found = guide.predict(window)
                start = None if found is None else verified_start(found, window)
                n_asked += 1
                if start is not None:
                    error = start_error(film, k, k + gap, window, start.T_window_cam[-1], start)
                    believed[f"{k}+{gap}"] = error
    return Asked(n_asked, believed)


def tracked(film: "Sequence", first: int, last: int) -> "WindowInput":
    """The two frames with the corners of the first that were followed through those between."""
    from vgslam.frontend.features import FeatureConfig, detect_corners, track_flow
    from vgslam.types import WindowInput

    config = FeatureConfig()
    grey = [_grey(film.images[i]) for i in range(first, last + 1)]
    corners = detect_corners(grey[0], np.zeros((0, 2), np.float32), N_CORNERS, config)
    at, ids = corners, np.arange(len(corners))
    for a, b in itertools.pairwise(grey):
        at, ok = track_flow(a, b, at, at, config)
        at, ids = at[ok], ids[ok]
    px = np.concatenate([corners[ids], at]).astype(np.float64)
    return WindowInput(
        np.array([first, last]), [film.images[first], film.images[last]], film.camera,
        np.repeat([0, 1], len(ids)), np.tile(ids, 2), px,
    )  # fmt: skip


def start_error(
    film: "Sequence", first: int, last: int, window: "WindowInput", T_first_last: "Array", start: Any
) -> StartError:
    """A believed start against the film's own poses and depth."""
    from vgslam.geometry import se3

    T_true = se3.inverse(film.T_world_cam[first]) @ film.T_world_cam[last]
    in_first = window.track_frame == 0
    px = window.track_px[in_first][np.searchsorted(window.track_id[in_first], start.landmark_ids)]
    u, v = np.rint(px).astype(int).T
    true, said = film.depth[first][v, u].astype(np.float64), start.landmarks[:, 2]
    known = np.isfinite(true) & (said > 0)
    true_unit, said_unit = float(np.median(true[known])), float(np.median(said[known]))
    t_true, t_said = T_true[:3, 3] / true_unit, T_first_last[:3, 3] / said_unit
    way = max(float(np.linalg.norm(t_true)), 1e-9)
    cosine = float(t_true @ t_said) / (way * max(float(np.linalg.norm(t_said)), 1e-12))
    return StartError(
        se3.angle_deg(T_true[:3, :3].T @ T_first_last[:3, :3]), float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        float(np.linalg.norm(t_true - t_said)) / way,
        float(np.median(np.abs(said[known] / said_unit / (true[known] / true_unit) - 1))),
    )  # fmt: skip


def in_common(before: Asked, after: Asked) -> dict[str, list[float]]:
    """Median errors [before, after] of the starts that were believed both times; the same starts, so that one that
    believes more of the hard ones does not look worse."""
    both = sorted(before.believed.keys() & after.believed.keys())
    if not both:
        return {name: [0.0, 0.0] for name in (*StartError.__dataclass_fields__, "n")}
    return {
        name: [float(np.median([getattr(asked.believed[k], name) for k in both])) for asked in (before, after)]
        for name in StartError.__dataclass_fields__
    } | {"n": [float(len(both)), float(len(both))]}  # fmt: skip


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table."""
    head = ["film", "committed steps", "starts asked for", "believed", "both times"]
    head += ["rotation [deg]", "direction [deg]", "translation", "depth"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        n = row["before"]["n_asked"]
        believed = [len(row[when]["believed"]) for when in ("before", "after")]
        both = row["both"]
        cells = [row["name"], str(row["steps"]), str(n), f"{believed[0]} -> {believed[1]}", str(int(both["n"][0]))]
        cells += [_change(both, name) for name in StartError.__dataclass_fields__]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _change(both: dict[str, list[float]], name: str) -> str:
    before, after = both[name]
    return changed(before, after) if before else "-"


def page(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The page for people."""
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    return (
        "# Starts by the network, before and after adaptation\n\nPairs of frames that adaptation never saw. believed: "
        "those that the held-out tracks agree with. Then median errors of the starts that were believed both times, "
        "against the truth; translation and depth in units of the landmarks' median depth.\n\n"
        f"{head}\n\n" + "\n".join(table(rows)) + "\n"
    )


def _grey(image: Any) -> Any:
    import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _guide(model: "Vggt", loaded: Any) -> "Guide":
    from vgslam.frontend.network_guide import NetworkGuide
    from vgslam.network.vggt_backbone import VggtBackbone

    return NetworkGuide(VggtBackbone(replace(loaded, model=model)))
