"""`vgslam fleet merge`: many maps, those that show the same places become one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vgslam.atomic import write_text
from vgslam.byte_size import parse_size
from vgslam.errors import InputError, OutputError
from vgslam.fleet.engine import Workplace, open_calls
from vgslam.fleet.folder import RESULTS
from vgslam.fleet.merge_many import Merged, merge_many
from vgslam.fleet.task import TaskLimits
from vgslam.fleet.work import MAP
from vgslam.guards.wording import say
from vgslam.store.manifest import MANIFEST, read_manifest

REPORT = "merge.json"


@dataclass(kw_only=True)
class FleetMergeArgs:
    """Merges many maps: those that show the same places become one, the others stay apart, as they are."""

    maps: tyro.conf.Positional[tuple[Path, ...]]
    """Maps, folders of maps, or folders of `vgslam fleet map`."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the merged maps and merge.json, which says what became of each map."""
    engine: Literal["local", "ray"] = "local"
    """Where pairs of maps are verified and merged: on this machine, or by a Ray cluster that sees the maps and OUT."""
    address: str | None = None
    """Address of the Ray cluster (HOST:PORT); by default one that is begun on this machine for the time."""
    jobs: int | None = None
    """Processes side by side on this machine; by default one a CPU."""
    memory: str = "2GiB"
    """Memory that is reserved for one of them on a cluster."""
    json: bool = False
    """Print merge.json."""


def run_fleet_merge(args: FleetMergeArgs) -> int:
    """Merges, writes and prints; returns 0. Raises VgslamError."""
    maps = find_maps(args.maps)
    at, limits = Workplace(args.engine, args.address, args.jobs), TaskLimits(memory_bytes=parse_size(args.memory))
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise OutputError(f"{args.out}: is not empty; name another folder with --out")
    args.out.mkdir(parents=True, exist_ok=True)
    merged = merge_many(maps, args.out.resolve(), open_calls(at, limits), (lambda line: None) if args.json else print)
    report = json.dumps(describe(maps, merged), indent=1) + "\n"
    write_text(args.out / REPORT, report)
    if args.json:
        say(report, end="")
        return 0
    for path, members in merged.groups:
        say(f"{path}: {len(members)} maps, {', '.join(str(maps[n]) for n in members)}")
    for n in merged.apart:
        say(f"{maps[n]}: apart; {merged.notes.get(n, 'it shows no place that another map shows')}")
    for doubt in merged.doubts:
        say(doubt.line(maps))
    return 0


def describe(maps: list[Path], merged: Merged) -> dict[str, Any]:
    """What is written down."""
    return {
        "n_pairs_verified": merged.n_pairs, "n_pairs_met": merged.n_met,
        "merged": [{"map": str(p), "of": [str(maps[n]) for n in members]} for p, members in merged.groups],
        "apart": [{"map": str(maps[n]), "why": merged.notes.get(n, "")} for n in merged.apart],
        "refused": [[str(maps[i]), str(maps[j])] for i, j in merged.refused],
        "doubtful": [{"maps": [str(maps[d.a]), str(maps[d.b])], "why": d.line(maps)} for d in merged.doubts],
    }  # fmt: skip


def find_maps(given: tuple[Path, ...]) -> list[Path]:
    """All maps, absolute, each once. Raises InputError, naming what holds none and copies of one another, MapError."""
    found: dict[Path, None] = {}
    for path in given:
        inside = [path] if (path / MANIFEST).is_file() else sorted(p.parent for p in path.glob(f"*/{MANIFEST}"))
        inside = inside or sorted(p.parent for p in path.glob(f"{RESULTS}/*/{MAP}/{MANIFEST}"))
        if not inside:
            raise InputError(f"{path}: {'holds no map' if path.exists() else 'no such folder'}")
        found |= dict.fromkeys(p.resolve() for p in inside)
    if len(found) < 2:
        raise InputError("a merge needs two maps or more, each named once")
    first: dict[str, Path] = {}
    for path in found:
        other = first.setdefault(read_manifest(path).state_sha256, path)
        if other != path:
            raise InputError(f"{other} and {path} are the same map; leave the copy out")
    return list(found)
