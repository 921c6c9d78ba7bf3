"""`vgslam map scale`: metres and gravity for a saved map."""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from vgslam.errors import ConfigError, MapError
from vgslam.guards.wording import say
from vgslam.metric.fulfil import fulfil, read_request
from vgslam.store.manifest import MANIFEST
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map


@dataclass
class ScaleArgs:
    """Makes a saved map metric, or turns it so that z is up. The map is changed in place."""

    map: tyro.conf.Positional[Path]
    """Folder of the map."""
    scale_from: str | None = None
    """What gives the scale: frames:A,B=METRES (the distance between two frames), points:FRAME:u,v;FRAME:u,v=METRES (the
    distance between what two pixels show), aruco:DICTIONARY:EDGE_M (markers, as in aruco:APRILTAG_36h11:0.16),
    positions:FILE[=SIGMA_M] (GPS or odometry) or depth:SEQUENCE[=UNITS_PER_M] (its depth images)."""
    gravity: str | None = None
    """What gives gravity: upright (the camera is held upright on average), positions (their z axis is up) or
    accelerometer:FILE (time,ax,ay,az in the axes of the camera)."""
    session: int = -1
    """Session whose frames and times are meant, from 0; by default the newest."""
    json: bool = False
    """Print JSON."""


def run_scale(args: ScaleArgs) -> int:
    """Changes the map and prints what was found; returns 0. Where it raises the map is unchanged."""
    request = read_request(args.scale_from, args.gravity)
    if request.is_empty:
        raise ConfigError("nothing to do: add --scale-from or --gravity")
    if not (args.map / MANIFEST).is_file():
        raise MapError(f"{args.map}: is not a vgslam map (it has no {MANIFEST})")
    with MapFolder(args.map) as folder:
        slam_map = load_map(args.map)
        n = max(1, len(slam_map.sessions))
        if not -n <= args.session < n:
            raise ConfigError(f"{args.map}: has no session {args.session}; they count from 0 to {n - 1}")
        findings = fulfil(slam_map, request, args.session)
        folder.save(slam_map)
    if args.json:
        say(json.dumps([f.to_dict() for f in findings], indent=2))
        return 0
    for finding in findings:
        for line in finding.lines():
            say(line)
    return 0
