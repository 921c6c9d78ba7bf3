"""`python -m bench relocalization-hard`: bad images, views from far beside, other places."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro
from rich.console import Console

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    from bench.hard_places import HardQuery, Place
    from bench.relocalization_trials import Recorded
    from vgslam.geometry.camera import Camera
    from vgslam.localizer import Localizer
    from vgslam.reloc.proposal import PoseProposer

NAME = "relocalization_hard"
SEEN_SHARE, FAR_OF_DEPTH, FAR_DEG = 0.3, 0.3, 22.0
"""Asked for are images that share so much with a mapped one, and are so far (of the median depth) or turned so much
(deg) from every mapped one."""
FOUND = ((0.05, 5.0), (0.10, 5.0))
"""Position (share of the median depth) and angle (deg) within which an answer is right; the last counts."""


WRITE_EVERY = 20  # answers after which what is known is written
Key = tuple[str, bool, int, str]
METHODS = ("pnp", "late-fusion", "network")


@dataclass
class BenchRelocalizationHardArgs:
    """Relocalization of dark, bright, blurred and noisy images, views 15 to 60 degrees beside the path, other places.

    Make the map first: `vgslam run SEQUENCE --end N --map MAP`. The rendered worlds are mapped here.
    """

    map: Annotated[Path, tyro.conf.Positional]
    """Folder of the saved map of the sequence's first images."""

    path: Annotated[Path, tyro.conf.Positional]
    """The sequence, with ground truth."""

    truth: Path | None = None
    """Another reference than the sequence's own."""

    foreign: tuple[Path, ...] = ()
    """Sequences of other places: none of their images may be found."""

    queries: int = 200
    """Images that are asked for in all; 0 for none, only images of other places."""

    per_kind: int = 9
    """Views of each kind in each rendered world, of these."""

    n_foreign: int = 500
    """Images of other places, in all."""

    rendered_foreign: int = 350
    """Those of other rendered worlds, of these."""

    foreign_network: int = 500
    """How many of the images of other places the network is asked for as well, about."""

    weights: str | None = "vggt-s"
    """Network that proposes poses where matching finds nothing; `none` leaves it out."""

    cache: Path = Path("out/relocalization-hard-cache")
    """Folder where rendered worlds and their maps are kept for the next time."""

    out: Path = Path("out/bench-relocalization-hard")
    """Folder for relocalization_hard.json and relocalization_hard.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""

    resume: bool = False
    """Go on with a run of the same settings that was interrupted: what it wrote to OUT is not measured again."""


@dataclass(frozen=True)
class HardAnswer:
    """What one method said about an image."""

    place: str
    source: str
    kind: str
    number: int
    """Number of the image among those of the place."""
    method: str
    is_foreign: bool
    is_accepted: bool
    found_by: str
    """The method of the answer; empty without one."""
    trust: float
    n_inliers: int
    error: float | None
    """Distance from the truth as a share of the median depth; None where nothing was accepted or no truth is."""
    error_deg: float | None
    cpu_s: float

    @property
    def key(self) -> "Key":
        """What the answer is to."""
        return self.place, self.is_foreign, self.number, self.method

    def is_right(self, level: int = -1) -> bool:
        """Whether the answer is within a level of `FOUND`."""
        near, turned = FOUND[level]
        is_near = self.error is not None and self.error_deg is not None
        return self.is_accepted and is_near and self.error < near and self.error_deg < turned  # type: ignore[operator]


def run_bench_relocalization_hard(args: BenchRelocalizationHardArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, InputError, MapError and OutputError with one line."""
    if args.queries < 0 or args.per_kind < 1 or not 0 <= args.rendered_foreign <= args.n_foreign:
        raise ConfigError("--queries must be 0 or more, --per-kind 1 or more, --rendered-foreign at most --n-foreign")
    claim_folder(args.out, NAME, args.overwrite or args.resume)
    args.cache.mkdir(parents=True, exist_ok=True)
    places = _places(args)
    foreign = _foreign(args, places)
    known = _known(args) if args.resume else {}
    rows: list[HardAnswer] = []
    for place in places:
        for answers in _answers(place, [*place.queries, *foreign[place.name]], args, known):
            rows += answers
            if len(rows) % WRITE_EVERY < len(answers):
                _write(args, [*known.values(), *rows])
        _show(f"{place.name}: {_short([r for r in rows if r.place == place.name])}")
    written = _write(args, rows)
    Console().print(table(rows), soft_wrap=True)
    print(written)
    return 0


def _write(args: BenchRelocalizationHardArgs, rows: list[HardAnswer]) -> str:
    different = list({r.key: r for r in rows}.values())
    return write_record(args.out, NAME, provenance() | {"rows": [asdict(r) for r in different]}, table(different))


def _known(args: BenchRelocalizationHardArgs) -> dict[Key, HardAnswer]:
    """The answers of an earlier run."""
    file = args.out / f"{NAME}.json"
    if not file.exists():
        return {}
    rows = [HardAnswer(**row) for row in json.loads(file.read_text())["rows"]]
    return {r.key: r for r in rows}


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _places(args: BenchRelocalizationHardArgs) -> "list[Place]":
    from bench.hard_places import Place, changed, gauge, rendered_places
    from bench.relocalization import recorded
    from vgslam.store.open import load_map

    rendered = rendered_places(args.per_kind, args.cache, _show)
    if args.queries == 0:
        rendered = [replace(p, queries=[]) for p in rendered]
    n = max(args.queries - sum(len(p.queries) for p in rendered), 1)
    seq = recorded(args.path, args.truth)
    slam_map = load_map(args.map)
    n_mapped = 1 + max(f.frame_id for f in slam_map.frames)
    if n_mapped >= len(seq.images):
        raise ConfigError(f"{args.map}: all images of {args.path.name} are mapped, none is left to ask for")
    known = gauge(slam_map, seq.T_world_cam)
    seen = [i for i in range(n_mapped, len(seq.images)) if _is_hard(seq, i, n_mapped, known.depth)]
    if not seen:
        raise ConfigError(f"{args.path.name}: no image after the mapped ones shows from afar what they show")
    frames = np.array(seen)[np.linspace(0, len(seen) - 1, n).round().astype(int)]
    queries = changed([seq.images[i] for i in frames], seq.T_world_cam[frames], args.path.name, 1)
    return [Place(args.path.name, args.map, known, queries if args.queries else []), *rendered]


def _is_hard(seq: "Recorded", i: int, n_mapped: int, depth: float) -> bool:
    """Whether a mapped image shows a good part of what image i shows, and none was taken near it."""
    from bench.relocalization_trials import is_covisible

    T, mapped = seq.T_world_cam[i], seq.T_world_cam[:n_mapped]
    apart = np.linalg.norm(mapped[:, :3, 3] - T[:3, 3], axis=1) / (FAR_OF_DEPTH * depth)
    cos = (np.einsum("nij,ij->n", mapped[:, :3, :3], T[:3, :3]) - 1.0) / 2.0
    turned = np.degrees(np.arccos(np.clip(cos, -1.0, 1.0))) / FAR_DEG
    if np.maximum(apart, turned).min() < 1.0:
        return False
    return is_covisible(seq.T_world_cam[i], seq.T_world_cam[:n_mapped:5], seq.camera, depth, SEEN_SHARE)


def _foreign(args: BenchRelocalizationHardArgs, places: "list[Place]") -> "dict[str, list[HardQuery]]":
    """Images of other places for every map: other recordings for the recorded one, other worlds for the rendered."""
    from bench.hard_places import changed, rendered_foreign
    from bench.relocalization import images_of

    out: dict[str, list[HardQuery]] = {p.name: [] for p in places}
    others = places[1:]
    for i, query in enumerate(rendered_foreign(args.rendered_foreign, args.cache)):
        out[others[i % len(others)].name].append(query)
    n = args.n_foreign - args.rendered_foreign
    for i, path in enumerate(args.foreign):
        left = n - len(out[places[0].name])
        images, camera = images_of(path, -(-left // (len(args.foreign) - i)))
        out[places[0].name] += [replace(q, camera=camera) for q in changed(images, None, path.name, 2)]
    return out


class _Asked:
    """Localizers of one map: one for each method and camera."""

    def __init__(self, folder: Path, weights: str | None) -> None:
        from vgslam.store.open import load_map

        self._map, self._proposers = load_map(folder), _proposers(weights)
        self.methods = tuple(self._proposers)
        self._made: dict[tuple[str, Camera], Localizer] = {}

    def get(self, method: str, camera: "Camera | None") -> "Localizer":
        """The localizer for a method; camera: None for that of the map."""
        from vgslam.localizer import Localizer

        key = method, camera or self._map.keyframes[-1].camera
        if key not in self._made:
            self._made[key] = Localizer(self._map, key[1], proposer=self._proposers.get(method))
        return self._made[key]


def _proposers(weights: str | None) -> "dict[str, PoseProposer | None]":
    """What proposes poses where matching finds nothing, by method."""
    if weights in (None, "none"):
        return {"pnp": None}
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.reloc.learned import network_proposer, pairwise_proposer

    network = open_backbone(BackboneOptions(str(weights)), show=_show)
    return {"pnp": None, "late-fusion": pairwise_proposer(network), "network": network_proposer(network)}


def _answers(
    place: "Place", queries: "list[HardQuery]", args: BenchRelocalizationHardArgs, known: dict[Key, HardAnswer]
) -> Iterator[list[HardAnswer]]:  # fmt: skip
    """What every method says about each image. Each goes on where the one before it is not accepted: else it says the
    same."""
    asked = _Asked(place.map_folder, args.weights)
    every = max(1, round(args.n_foreign / args.foreign_network)) if args.foreign_network else 0
    for i, query in enumerate(queries):
        methods = asked.methods
        if query.T_world_cam is None and not (every > 0 and i % every == 0):
            methods = methods[:1]
        out: list[HardAnswer] = []
        for method in methods:
            geometry = [r for r in out if r.method == "pnp" and r.is_accepted]
            earlier = known.get((place.name, query.T_world_cam is None, i, method))
            if earlier is not None:
                out.append(earlier)
            elif geometry:
                out.append(replace(geometry[-1], method=method))
            else:
                out.append(_answer(place, query, method, asked.get(method, query.camera), i))
        yield out


def _answer(place: "Place", query: "HardQuery", method: str, localizer: "Localizer", number: int) -> HardAnswer:
    began = time.process_time()
    found = localizer.locate(query.image)
    cpu_s = time.process_time() - began
    is_accepted = found is not None and localizer.accepts(found)
    error, error_deg = None, None
    if found is not None and is_accepted and query.T_world_cam is not None:
        error, error_deg = place.gauge.error(found.T_world_cam, query.T_world_cam)
    return HardAnswer(
        place.name, query.source, query.kind, number, method, query.T_world_cam is None, is_accepted,
        "" if found is None else found.method, 0.0 if found is None else found.trust,
        0 if found is None else found.evidence.n_inliers, error, error_deg, cpu_s,
    )  # fmt: skip


def _short(rows: list[HardAnswer]) -> str:
    mine, others = [r for r in rows if not r.is_foreign], [r for r in rows if r.is_foreign]
    parts = [
        f"{m}: {sum(r.is_right() for r in mine if r.method == m)} of {sum(r.method == m for r in mine)}, "
        f"{sum(r.is_accepted for r in others if r.method == m)} of {sum(r.method == m for r in others)} foreign"
        for m in dict.fromkeys(r.method for r in rows)
    ]  # fmt: skip
    return "; ".join(parts)


def table(rows: list[HardAnswer]) -> str:
    """Found, false and CPU by kind and method, and what was accepted of other places."""
    methods = sorted(dict.fromkeys(r.method for r in rows), key=METHODS.index)
    lines = [
        "Found: accepted, within a share of the median depth (10 %, and 5 %) and 5 degrees of the truth. False: "
        "accepted and not within 10 % and 5 degrees. Depth is the median of the map's landmarks; errors are those "
        "beside the mapped frame nearest to the true pose. CPU seconds of one query.", "",
        "| kind | queries | " + " | ".join(f"{m}: found (5 %) | false | CPU" for m in methods) + " |",
        "|---|---:|" + "---:|---:|---:|" * len(methods),
    ]  # fmt: skip
    mine = [r for r in rows if not r.is_foreign]
    kinds = [*dict.fromkeys(r.kind for r in mine), "all"]
    for kind in kinds:
        chosen = [[r for r in mine if r.method == m and kind in (r.kind, "all")] for m in methods]
        lines.append(f"| {kind} | {len(chosen[0])} | " + " | ".join(map(_cells, chosen)) + " |")
    titles = " | ".join(f"{m}: accepted | CPU" for m in methods)
    lines += ["", f"| images of another place, from | images | {titles} |", "|---|---:|" + "---:|---:|" * len(methods)]
    foreign = [r for r in rows if r.is_foreign]
    for source in [*dict.fromkeys(r.source for r in foreign), "all"]:
        chosen = [[r for r in foreign if r.method == m and source in (r.source, "all")] for m in methods]
        cells = " | ".join(f"{sum(r.is_accepted for r in c)} of {len(c)} | {_mean(c):.2f}" for c in chosen)
        lines.append(f"| {source} | {max(map(len, chosen))} | {cells} |")
    return "\n".join(lines) + "\n"


def _cells(rows: list[HardAnswer]) -> str:
    right = sum(r.is_right() for r in rows)
    false = sum(r.is_accepted and not r.is_right() for r in rows)
    return f"{right} ({sum(r.is_right(0) for r in rows)}) | {false} | {_mean(rows):.2f}"


def _mean(rows: list[HardAnswer]) -> float:
    return float(np.mean([r.cpu_s for r in rows])) if rows else 0.0
