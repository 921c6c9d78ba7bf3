"""Short drives for the merging of maps: several through one city, others through a city that looks like it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from bench.city_film import FilmSpec, rendered
from bench.city_route import city_drive
from vgslam.atomic import write_bytes, write_text
from vgslam.types import Array
from vgslam_train.worlds.city import CityPlan, city
from vgslam_train.worlds.textures import TextureBank

JPEG_QUALITY = 95


@dataclass(frozen=True)
class DriveSpec:
    """One drive: a piece of a city's route, driven with a wobble of its own."""

    name: str
    city: int  # seed of the city
    wobble: int  # seed of how it is driven
    begin: int  # first frame of the route
    end: int  # frame after the last


N_FRAMES = 90  # frames of a drive: some 60 m
DRIVES = (
    *(DriveSpec(f"city-{i:02d}", 5, 11 + i, 45 * i, 45 * i + N_FRAMES) for i in range(12)),
    *(DriveSpec(f"other-{i}", 6, 31 + i, 90 * i, 90 * i + N_FRAMES) for i in range(4)),
)
"""Twelve drives that overlap by half in one city; four through another city of the same plan, kinds of houses and
textures, each of which begins where the one before ends."""


def film_drives(drives: tuple[DriveSpec, ...], cache: Path) -> list[Path]:
    """Folders in the plain layout, one a drive; rendered once and then only read."""
    folders = []
    for spec in drives:
        folder = cache / f"{spec.name}-{spec.city}-{spec.wobble}-{spec.begin}-{spec.end}"
        if not (folder / "calib.json").exists():
            _film(spec, folder)
        folders.append(folder)
    return folders


def true_poses(spec: DriveSpec) -> Array:
    """T_world_cam (N,4,4) of a drive, in m."""
    return city_drive(CityPlan(), spec.end, spec.wobble).T_world_cam[spec.begin :]


def _film(spec: DriveSpec, folder: Path) -> None:
    film, plan = replace(FilmSpec(spec.city), supersample=1), CityPlan()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    place, drive = city(spec.city, plan, TextureBank(spec.city)), city_drive(plan, spec.end, spec.wobble)
    for k, image in rendered(place, film, drive, list(range(spec.begin, spec.end))):
        done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert done
        write_bytes(folder / "images" / f"{k:05d}.jpg", data.tobytes())
    times = drive.timestamps_s[spec.begin : spec.end]
    write_text(folder / "times.txt", "".join(f"{t:.6f}\n" for t in times))
    c = film.camera
    calib = {"width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy, "distortion": []}
    write_text(folder / "calib.json", json.dumps(calib, indent=1) + "\n")
