"""`vgslam map`: look at saved maps, verify, merge, scale, adjust and export them."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from vgslam.byte_size import format_size, parse_size
from vgslam.commands.cells import cell
from vgslam.commands.map_export import ExportFormat, ExportRequest, export
from vgslam.commands.map_scale import ScaleArgs, run_scale
from vgslam.errors import InputError, MapError, OutputError, VgslamError
from vgslam.fleet.bridges import told_of_two
from vgslam.fleet.fold import merge_two
from vgslam.fleet.meet import meet
from vgslam.fleet.ties import Tie
from vgslam.guards.paths import is_plain_file
from vgslam.guards.wording import say, say_meanwhile
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.refine_map import refine_map
from vgslam.reloc.closing import PlaceJoiner
from vgslam.session.late_steps import failure_line
from vgslam.session.stop_signals import came_of_interrupt
from vgslam.store.exports.place import check_place
from vgslam.store.exports.suffixes import check_suffix
from vgslam.store.manifest import MANIFEST, read_manifest
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.merge import Joiner, shared_session
from vgslam.store.open import load_map
from vgslam.types import Status


@dataclass
class InfoArgs:
    """Shows what a saved map contains."""

    map: tyro.conf.Positional[Path]
    """Folder of the map."""
    json: bool = False
    """Print JSON."""


@dataclass
class CheckArgs:
    """Reads every file of a map and verifies its checksum; exit code 9 if anything is wrong."""

    map: tyro.conf.Positional[Path]
    """Folder of the map."""
    json: bool = False
    """Print JSON."""


@dataclass
class MergeArgs:
    """Merges two maps: the second's components are put beside the first's."""

    a: tyro.conf.Positional[Path]
    """The map whose world stays."""
    b: tyro.conf.Positional[Path]
    """The map that is added."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the new map."""
    memory: str = "64MiB"
    """Memory for images and depth, as in 2GiB."""


@dataclass
class RefineArgs:
    """Adjusts a map as a whole: keyframes, landmarks and calibration together."""

    map: tyro.conf.Positional[Path]
    """Folder of the map."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder of a new map; by default the map itself is replaced, at once and as a whole."""
    fixed_calib: bool = False
    """Keep the calibration as it is."""
    seconds: float = 600.0
    """Time for it, in s. When it is over, the steps that were made are kept."""
    memory: str = "64MiB"
    """Memory for images and depth, as in 2GiB."""
    json: bool = False
    """Print JSON."""


@dataclass
class ExportArgs:
    """Exports a map, or a component of it, to the formats of other programs."""

    map: tyro.conf.Positional[Path]
    """Folder of the map."""
    format: ExportFormat
    """tum, kitti: poses of every frame. ply (.ply), gltf (.glb, .gltf): coloured cloud. mesh (.ply, .obj, .glb, .gltf):
    surface of the dense depth (needs Open3D). colmap, colmap-text: COLMAP model with images. nerfstudio:
    transforms.json with images and depth. depth-png, depth-npz, depth-exr: images with depth and confidence, as
    `vgslam run --save-depth` writes them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File to write; for colmap, nerfstudio and depth a new folder."""
    component: int | None = None
    """Component to export; the default is the one with most keyframes."""
    session: int | None = None
    """Session whose poses are written, from 0; needed for tum and kitti where the map has several."""
    max_faces: int | None = None
    """Most triangles of a mesh; a finer one is decimated."""
    overwrite: bool = False
    """Replace an existing export."""


Action = (
    Annotated[InfoArgs, tyro.conf.subcommand("info")]
    | Annotated[CheckArgs, tyro.conf.subcommand("check")]
    | Annotated[MergeArgs, tyro.conf.subcommand("merge")]
    | Annotated[ScaleArgs, tyro.conf.subcommand("scale")]
    | Annotated[RefineArgs, tyro.conf.subcommand("refine")]
    | Annotated[ExportArgs, tyro.conf.subcommand("export")]
)


@dataclass
class MapArgs:
    """Saved maps: info, check, merge, scale, refine, export."""

    action: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Action]]
    """The action: info, check, merge, scale, refine or export."""


def run_map(args: MapArgs) -> int:
    """Returns the exit code. Raises MapError and what the actions raise; what nobody expected becomes an OutputError of
    one line, as in a run (`LateSteps`)."""
    action: Any = args.action
    actions: dict[type, Callable[[Any], int]] = {
        InfoArgs: run_info, CheckArgs: run_check, MergeArgs: run_merge, ScaleArgs: run_scale, RefineArgs: run_refine,
        ExportArgs: run_export,
    }  # fmt: skip
    try:
        return actions[type(action)](action)
    except (VgslamError, BrokenPipeError):
        raise
    except Exception as error:
        if getattr(error, "filename", None) is not None or came_of_interrupt(error):
            raise  # the program has a line for what the system says of a path, and for Ctrl-C
        name = f"vgslam map {type(action).__name__.removesuffix('Args').lower()}"
        line = failure_line(_log_folder(action), name, error)
        raise OutputError(f"{line}; maps are as they were last saved") from error


def _log_folder(action: Any) -> Path:
    """Where the traceback of an action goes: into the map that it was to write, or beside it, if that is no map yet."""
    written = getattr(action, "out", None) or getattr(action, "map", None) or action.a
    folder: Path = written if is_plain_file(written / MANIFEST) else written.parent
    return folder


def describe(path: Path) -> dict[str, Any]:
    """The contents of a map, for `info`. Raises MapError."""
    manifest, m = read_manifest(path), load_map(path)
    statuses = Counter(f.status for f in m.frames)
    sessions = [
        {
            "name": s.name, "began": s.began, "first_frame_id": s.first_frame_id, "n_frames": len(m.session_frames(i)),
            "n_poses": len(m.trajectory(i)), "n_keyframes": len(m.keyframe_trajectory(i)),
        }
        for i, s in enumerate(m.sessions)
    ]  # fmt: skip
    return {
        "path": str(path), "version": manifest.version, "program": manifest.program, "saved_at": manifest.saved_at,
        "generation": manifest.generation, "n_bytes": sum(p.stat().st_size for p in path.rglob("*") if p.is_file()),
        "n_keyframes": len(m.keyframes), "n_landmarks": len(m.landmarks),
        "n_triangulated": int(m.landmarks.is_triangulated.sum()), "n_frames": len(m.frames),
        "statuses": {str(s): statuses[s] for s in Status if statuses[s]},
        "edges": {str(kind): n for kind, n in Counter(e.kind for e in m.edges.values()).items()},
        "components": [{"id": c, "n_keyframes": n, **asdict(m.world_of(c))} for c, n in _components(m).items()],
        "sessions": sessions,
    }  # fmt: skip


def _components(m: SlamMap) -> dict[int, int]:
    return dict(sorted(Counter(k.component_id for k in m.keyframes).items()))


def run_info(args: InfoArgs) -> int:
    """Prints what the map holds."""
    data = describe(args.map)
    if args.json:
        say(json.dumps(data, indent=2))
        return 0
    say(f"{args.map}: version {data['version']}, saved {data['saved_at']} by {data['program']}, "
        f"{format_size(data['n_bytes'])}")  # fmt: skip
    edges = ", ".join(f"{n} {kind}" for kind, n in data["edges"].items()) or "none"
    say(f"{data['n_keyframes']} keyframes, {data['n_landmarks']} landmarks ({data['n_triangulated']} triangulated), "
        f"edges: {edges}")  # fmt: skip
    parts = ", ".join(f"{c['id']} ({c['n_keyframes']} keyframes{_world_in_words(c)})" for c in data["components"])
    say(f"components: {parts or 'none'}")
    table = Table("session", "name", "began", "frames", "poses", "keyframes")
    for i, s in enumerate(data["sessions"]):
        table.add_row(*map(cell, (i, s["name"], s["began"], s["n_frames"], s["n_poses"], s["n_keyframes"])))
    if data["sessions"]:
        Console().print(table)
    return 0


def _world_in_words(component: dict[str, Any]) -> str:
    metric = f", metres +- {100 * component['scale_rel_sigma']:.2g} %" if component["is_metric"] else ""
    return metric + (f", z up +- {component['tilt_sigma_deg']:.2g} deg" if component["is_upright"] else "")


def run_check(args: CheckArgs) -> int:
    """Prints what is wrong; returns 0 for a sound map, MapError's exit code otherwise."""
    found = check_map(args.map)
    if args.json:
        say(json.dumps({"path": str(args.map), "is_sound": not found.problems, **asdict(found)}, indent=2))
    else:
        for problem in found.problems:
            say(problem)
        if not found.problems:
            say(f"{args.map}: sound, {found.n_pictures} pictures, {format_size(found.n_bytes)}")
        if found.n_leftovers:
            say(f"{found.n_leftovers} file(s) of a save that was killed; the next save removes them")
    return MapError.exit_code if found.problems else 0


def run_merge(
    args: MergeArgs, joiner: Joiner | None = None, look: Callable[[Path, Path], Sequence[Tie]] = meet
) -> int:  # fmt: skip
    """Writes the merged map; returns 0. joiner: finds places that both have, by default by their looks, then geometry;
    look: what ties the two maps as they were. One place is enough, unlike in `vgslam fleet merge`, and told: who names
    two maps knows something of them."""
    if (args.out / MANIFEST).exists():
        raise OutputError(f"{args.out}: there is a map already; name a new folder with -o")
    budget = parse_size(args.memory)
    merged, other = load_map(args.a, budget), load_map(args.b, budget)
    shared = shared_session(merged, other)
    if args.a.resolve() == args.b.resolve() or shared is not None:
        what = "are the same map" if shared is None else f"hold the same run {shared}: one is the other or a copy of it"
        raise InputError(f"{args.a} and {args.b} {what}; merge maps of different runs")
    place_joiner = joiner or PlaceJoiner()
    n_joined = merge_two(merged, other, place_joiner)
    with MapFolder(args.out) as folder:
        folder.save(merged)
    n = len(_components(merged))
    say(f"{args.out}: {len(merged.keyframes)} keyframes, {n} component(s), {n_joined} joined")
    for note in place_joiner.notes:
        say(note)
    if n_joined and (doubt := told_of_two((args.a, args.b), look(args.a, args.b))):
        say(doubt)
    if n > 1:
        say("components that nothing joins keep their own scale and origin")
    return 0


def run_refine(args: RefineArgs) -> int:
    """Writes the adjusted map; returns 0, and 130 if Ctrl-C ended it: nothing is written then."""
    if args.out is not None and (args.out / MANIFEST).exists():
        raise OutputError(f"{args.out}: there is a map already; name a new folder with -o")
    budget = parse_size(args.memory)
    if not args.map.is_dir():
        load_map(args.map, budget)  # says what is wrong; opening the folder for writing would make it
    with MapFolder(args.out or args.map) as folder:
        m = load_map(args.map, budget)
        config = RefineConfig(seconds=args.seconds, is_calibration_fixed=args.fixed_calib)
        tell = (lambda line: None) if args.json else say
        outcome = refine_map(m, config, Watch(tell))
        if outcome.is_interrupted:
            say("interrupted; the map is as it was", is_error=True)
            return 130
        folder.save(m)
    if args.json:
        say(json.dumps({"map": str(args.out or args.map), **outcome.to_dict()}, indent=2))
    for line in () if args.json else outcome.lines():
        say(line)
    return 0


def run_export(args: ExportArgs) -> int:
    """Writes the export; returns 0."""
    check_suffix(args.format, args.out)
    check_place(args.format, args.out, args.overwrite)
    m = load_map(args.map)
    say_meanwhile(f"writing {args.format} of {len(m.keyframes)} keyframes")
    written = export(args.format, ExportRequest(m, args.out, args.component, args.session, args.max_faces))
    say(f"{args.out}: {written}")
    n = len(_components(m))
    if n > 1:
        say(f"one of {n} components, which share no frame of reference; choose with --component")
    return 0


