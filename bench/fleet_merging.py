"""Drives through one city and through another that looks like it: mapped one by one, and merged."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.fleet_films import DRIVES, film_drives, true_poses
from vgslam.errors import InputError
from vgslam.geometry.robust_similarity import umeyama
from vgslam.store.open import load_map
from vgslam.types import Array


def measure_merging(films: Path, work: Path) -> tuple[dict[str, Any], list[str]]:
    """What was merged and what stayed apart; figures and a page."""
    folders = film_drives(DRIVES, films)
    manifest = work / "drives.csv"
    rows = [f"{folder.resolve()},{spec.name}" for folder, spec in zip(folders, DRIVES, strict=True)]
    manifest.write_text("path,name\n" + "\n".join(rows) + "\n")
    mapped_s = _run("map", str(manifest), "--out", str(work / "mapped"), "--run-options=--network none")
    merged_s = _run("merge", str(work / "mapped"), "--out", str(work / "merged"))
    found = json.loads((work / "merged" / "merge.json").read_text())
    groups = [sorted(_name(path) for path in group["of"]) for group in found["merged"]]
    apart = {_name(x["map"]): _in_short(x["why"]) for x in found["apart"]}
    city = {spec.name: spec.city for spec in DRIVES}
    figures = {
        "drives": [vars(spec) for spec in DRIVES], "mapped_s": mapped_s, "merged_s": merged_s, "merged": groups,
        "apart": apart, "pairs_verified": found["n_pairs_verified"], "pairs_met": found["n_pairs_met"],
        "ate": [_ate(Path(group["map"]), names) for group, names in zip(found["merged"], groups, strict=True)],
        "false_merges": sum(len({city[name] for name in group}) > 1 for group in groups),
        "doubtful": [[_name(path) for path in x["maps"]] for x in found["doubtful"]],
    }  # fmt: skip
    return figures, _page(figures)


def _run(*words: str) -> float:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "vgslam", "fleet", *words], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"fleet {words[0]} failed ({done.returncode}): {done.stdout[-500:]} {done.stderr[-500:]}")
    return round(time.monotonic() - began, 1)


def _name(path: str) -> str:
    """The recording's name, from the folder of its results."""
    return Path(path).parent.name.rsplit("-", 1)[0]


def _ate(path: Path, names: list[str]) -> dict[str, float]:
    """Error of the drives in a merged map, all aligned by one similarity, and of each aligned by its own."""
    m = load_map(path)
    specs = {spec.name: spec for spec in DRIVES if spec.name in names}
    found, true = [], []
    for i, session in enumerate(m.sessions):
        spec = next(s for s in specs.values() if session.name.startswith(f"{s.name}-"))
        trajectory = m.trajectory(i)
        first = int(m.session_frames(i)[0].frame_id)
        found.append(trajectory.T_world_cam[:, :3, 3])
        true.append(true_poses(spec)[trajectory.frame_ids - first, :3, 3])
    path_m = sum(float(np.linalg.norm(np.diff(x, axis=0), axis=1).sum()) for x in true)
    one = _rms(np.concatenate(true), np.concatenate(found))
    return {
        "together_m": one,
        "worst_alone_m": max(_rms(t, f) for t, f in zip(true, found, strict=True)),
        "path_m": path_m,
    }


def _rms(true: Array, found: Array) -> float:
    off = true - umeyama(true, found).apply(found)
    return float(np.sqrt((off * off).sum(1).mean()))


def _in_short(why: str) -> str:
    """Without the paths of the maps."""
    return "one place alone ties it to another" if "one place alone" in why else why


def _page(f: dict[str, Any]) -> list[str]:
    became = {name: f"merged {n}" for n, group in enumerate(f["merged"], 1) for name in group}
    rows = [
        f"| {d['name']} | {d['city']} | {d['begin']}–{d['end']} | {became.get(d['name'], 'apart')} | "
        f"{f['apart'].get(d['name'], '')} |"
        for d in f["drives"]
    ]
    ate = " ".join(
        f"All drives of merged {n} aligned by one similarity: RMS error {a['together_m']:.2f} m on {a['path_m']:.0f} m "
        f"(the worst drive aligned by itself: {a['worst_alone_m']:.2f} m)."
        for n, a in enumerate(f["ate"], 1)
    )
    return [
        "## Drives through one city and through a look-alike", "",
        f"{f['pairs_verified']} pairs verified, {f['pairs_met']} of them showed the same places; **{f['false_merges']} "
        f"false merges**. {f['mapped_s']} s for the maps, {f['merged_s']} s for the merge.", "",
        ate, "", "| drive | city | frames of the route | became | why |", "|---|---|---|---|---|", *rows,
    ]  # fmt: skip
