"""`python -m bench adapt`: what adaptation gains in domains that are new to the network, and its cost
in familiar ones."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import Console

from bench.record import provenance, write_record

if TYPE_CHECKING:
    from torch import Tensor

    from bench.adapt_domains import Split
    from vgslam.adapt.adapter import AdaptConfig, Adapter
    from vgslam.network.vggt import Vggt
    from vgslam_train.data.real_windows import RealSet
    from vgslam_train.data.windows import WindowBatch

NAME = "adapt"
MEASURES = ("depth_absrel", "rotation_deg", "direction_deg", "translation")


@dataclass
class BenchAdaptArgs:
    """Rendered worlds of a kind, with a lens and a motion that the network was not trained on, and recorded sequences:
    depth and relative poses of windows that adaptation never saw, before and after; a table and JSON."""

    weights: str = "vggt-s"
    """Weights to adapt."""

    seeds: int = 5
    """Rendered worlds of each domain; 0: none."""

    first_seed: int = 0
    """Number of the first of them."""

    domains: tuple[Literal["side", "wide"], ...] = ("side",)
    """side: hills, a camera mounted on its side; wide: hills, a lens of 115 degrees."""

    headroom: bool = False
    """Train with the truth as well, as long and with the same parameters: what there is to gain."""

    trainable: Literal["lora", "heads", "all"] = "lora"
    """What is trained, as in `vgslam adapt`."""

    steps: int = 300
    """Training steps for each."""

    batch: int = 4
    """Windows of a step, as in `vgslam adapt`."""

    rehearse: bool = True
    """As in `vgslam adapt`."""

    frames: int = 600
    """Frames of a rendered video."""

    sequences: Path | None = None
    """Folder of recorded sequences (kitti00_f000-199, 7scenes_redkitchen_seq01)."""

    threads: int = 1
    """CPU threads."""

    out: Path = Path("out/bench-adapt")
    """Folder for the table and the JSON."""


def run_bench_adapt(args: BenchAdaptArgs) -> int:
    """Measures, prints and writes after each world; returns 0."""
    import torch

    from vgslam.network.weights import load

    torch.set_num_threads(max(args.threads, 1))
    loaded = load(args.weights, show=print)
    about: dict[str, Any] = provenance() | {
        "weights": loaded.info.model_id,
        "trainable": args.trainable, "steps": args.steps, "batch": args.batch,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    args.out.mkdir(parents=True, exist_ok=True)

    def take(row: dict[str, Any]) -> None:
        rows.append(row)
        Console().print(_cells(row), soft_wrap=True)
        write_record(args.out, NAME, about | {"rows": rows}, _page(about, rows))

    if args.seeds:
        _rendered(loaded.model, args, take)
    if args.sequences is not None:
        for chosen in _real_sets():
            take(_recorded(loaded.model, args, chosen))
    print(f"results: {args.out}/{NAME}.md")
    return 0


def _rendered(model: "Vggt", args: BenchAdaptArgs, take: Callable[[dict[str, Any]], None]) -> None:
    from bench.adapt_domains import SHIFTED, SHIFTED_SEED, original_windows, split, with_truth
    from bench.adapt_headroom import Lessons, supervised
    from vgslam.adapt.offline import run_rounds

    original = original_windows(model.config)
    home = errors(model, original)
    for domain, seed in itertools.product(args.domains, range(args.first_seed, args.first_seed + args.seeds)):
        video = SHIFTED[domain].film(SHIFTED_SEED + seed, args.frames)
        parts = split(video, model.config)
        adapter = adapter_of(model, parts, args, seed)
        before = errors(model, parts.unseen)
        run_rounds(adapter, args.steps)
        adapter.measure_served()  # leaves the committed weights in the trainer's model
        after, at_home = errors(adapter.trainer.model, parts.unseen), errors(adapter.trainer.model, original)
        counts = (len(parts.training), len(parts.held_back), len(parts.unseen.images))
        row = _row(f"{domain} {seed}", adapter, counts, before, after) | {"home_before": home, "home_after": at_home}
        if args.headroom:
            taught = supervised(
                model, Lessons(with_truth(video, parts.training), args.steps), adapter.config.train
            )
            row["with_truth"] = errors(taught, parts.unseen)
        take(row)


def adapter_of(model: "Vggt", parts: "Split", args: BenchAdaptArgs, seed: int) -> "Adapter":
    """An adapter that has the windows of a film to train on and to hold back."""
    from vgslam.adapt.adapter import Adapter

    adapter = Adapter(model, _config(args, seed), familiar=familiar(model, args))
    for windows, is_held_back in ((parts.held_back, True), (parts.training, False)):
        for window in windows:
            adapter.keep(window, is_held_back)
    return adapter


def familiar(model: "Vggt", args: BenchAdaptArgs) -> "Callable[[], list[Tensor]] | None":
    """The images for rehearsal, if any."""
    from vgslam.adapt.rehearsal import familiar_windows

    return partial(familiar_windows, model.config) if args.rehearse else None


def _recorded(model: "Vggt", args: BenchAdaptArgs, chosen: "RealSet") -> dict[str, Any]:
    """Adapts to the first half of a sequence, measures on windows of the second."""
    from vgslam.adapt.adapter import Adapter
    from vgslam.adapt.offline import collect, run_rounds
    from vgslam.commands.adapt import windows
    from vgslam.sources import SourceOptions, open_source
    from vgslam_train.data.real_windows import real_windows
    from vgslam_train.data.windows import WindowBatch

    assert args.sequences is not None
    all_windows = real_windows(args.sequences, chosen, 4)
    half = len(all_windows.images) // 2 + 2  # no frame in common
    later = WindowBatch(*(x[half:] for x in vars(all_windows).values()))
    folder = args.sequences / chosen.folder
    n_images = sum(1 for _ in open_source(folder, SourceOptions()))
    source = open_source(folder, SourceOptions(end=n_images // 2))
    adapter = Adapter(model, _config(args, 0), familiar=familiar(model, args))
    assert source.camera is not None
    collect(adapter, windows(source, source.camera))
    before, counts = errors(model, later), (adapter.n_training_windows, len(adapter.probes), len(later.images))
    run_rounds(adapter, args.steps)
    adapter.measure_served()
    return _row(chosen.name, adapter, counts, before, errors(adapter.trainer.model, later))


def _real_sets() -> "list[RealSet]":
    from vgslam_train.data.real_windows import REAL_SETS

    return [s for s in REAL_SETS if s.name in ("kitti00, stride 2", "redkitchen, stride 5")]


def _config(args: BenchAdaptArgs, seed: int) -> "AdaptConfig":
    from vgslam.commands.adapt import AdaptArgs, adapt_config

    given = AdaptArgs(Path(), trainable=args.trainable, steps=args.steps, batch=args.batch, seed=seed)
    return replace(adapt_config(given), max_probes=32)


def errors(model: "Vggt", batch: "WindowBatch") -> dict[str, list[float]]:
    """[mean, median] over windows or poses: depth_absrel; rotation_deg, direction_deg of the served poses; translation:
    |t - t*| / |t*|, both in units of the window's median depth. Empty if there is no true depth."""
    import torch

    from vgslam_train.validation import pose_measures as measures
    from vgslam_train.validation.model_guess import ModelGuess

    guesses = ModelGuess(model, torch.device("cpu"))
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for k in range(len(batch.images)):
        one = type(batch)(*(x[k : k + 1] for x in vars(batch).values()))
        g = guesses(one)
        T = torch.linalg.inv(g.T_cam_world if g.T_solver is None else g.T_solver)
        median = measures.window_median_depth_m(one.depth)
        found["depth_absrel"] += [float(x) for x in measures.depth_errors(one.depth, g.depth)]
        found["rotation_deg"] += measures.rotation_errors_deg(one.T_world_cam, T).ravel().tolist()
        found["direction_deg"] += measures.direction_errors_deg(one.T_world_cam, T, median).ravel().tolist()
        true, said = one.T_world_cam[0, 1:, :3, 3] / median[0], T[0, 1:, :3, 3] / float(g.depth.median())
        if bool((one.depth > 0).any()):
            found["translation"] += ((said - true).norm(dim=1) / true.norm(dim=1).clamp(min=1e-9)).tolist()
    known = {name: [x for x in values if np.isfinite(x)] for name, values in found.items()}
    return {n: [round(float(np.mean(v)), 4), round(float(np.median(v)), 4)] for n, v in known.items() if v}


def _row(
    name: str, adapter: "Adapter", counts: tuple[int, int, int], before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name, "n_training": counts[0], "n_held_back": counts[1], "n_unseen": counts[2], "steps": adapter.step,
        "before": before, "after": after, "events": [e.as_numbers() for e in adapter.events],
    }  # fmt: skip


def _page(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    columns = ["video", "windows: trained, held back, unseen", "committed steps"]
    columns += ["AbsRel", "rotation [deg]", "direction [deg]", "translation", "home: AbsRel", "home: rotation [deg]"]
    columns += ["trained with the truth: AbsRel", "rotation [deg]", "direction [deg]", "translation"]
    table = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    table += [_cells(row) for row in rows]
    for domain in dict.fromkeys(r["name"].split()[0] for r in rows if "home_after" in r):
        worlds = [r for r in rows if r["name"].split()[0] == domain]
        table.append(f"| {domain}, mean change | | | " + " | ".join(_mean_changes(worlds)) + " |")
    return (
        "# What adaptation gains, and what it costs\n\nMeans over windows that were never seen, before -> after "
        "(change). home: windows of the kinds of worlds that the network was trained on.\n\n"
        f"{head}\n\n" + "\n".join(table) + "\n"
    )


def _cells(row: dict[str, Any]) -> str:
    cells = [row["name"], f"{row['n_training']}, {row['n_held_back']}, {row['n_unseen']}", str(row["steps"])]
    cells += [_change(row["before"], row["after"], m) for m in MEASURES]
    if "home_after" in row:
        cells += [_change(row["home_before"], row["home_after"], m) for m in MEASURES[:2]]
    else:
        cells += ["-", "-"]
    truth = row.get("with_truth", {})
    cells += [_change(row["before"], truth, m) for m in MEASURES]
    return "| " + " | ".join(cells) + " |"


def _change(before: dict[str, Any], after: dict[str, Any], measure: str) -> str:
    if measure not in before or measure not in after:
        return "-"
    return changed(before[measure][0], after[measure][0])


def changed(before: float, after: float) -> str:
    """A cell of a table."""
    return f"{before:.3f} -> {after:.3f} ({100 * (after / before - 1):+.0f} %)"


def _mean_changes(worlds: list[dict[str, Any]]) -> list[str]:
    pairs = [("before", "after", m) for m in MEASURES] + [("home_before", "home_after", m) for m in MEASURES[:2]]
    pairs += [("before", "with_truth", m) for m in MEASURES]
    changes = [[w[b][m][0] / w[a][m][0] - 1 for w in worlds if b in w] for a, b, m in pairs]
    return [f"{100 * np.mean(c):+.1f} %" if c else "-" for c in changes]
