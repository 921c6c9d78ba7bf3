"""The frames of the drive on disk, in the plain layout of sequences; rendered once and then only read."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.city_route import Drive, city_drive
from vgslam.atomic import write_bytes, write_text
from vgslam.geometry.camera import Camera
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Array, Trajectory
from vgslam_train.worlds.city import City, CityPlan, city
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.world import render

CHUNK = 24  # frames that are rendered together; they see about the same part of the city
JPEG_QUALITY = 95
VERSION = 1  # raise it when the frames of a seed change: older folders are then rendered anew


@dataclass(frozen=True)
class FilmSpec:
    """What is rendered."""

    seed: int = 5  # the city's, and that of the drive's wobble
    size: tuple[int, int] = (320, 240)  # width and height in px
    fov_deg: float = 80.0  # horizontal field of view
    supersample: int = 2  # rays per pixel and axis

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"city-{self.seed}-{self.size[0]}x{self.size[1]}-{self.fov_deg:g}deg-s{self.supersample}-v{VERSION}"

    @property
    def camera(self) -> Camera:
        return Camera.from_fov(*self.size, self.fov_deg)


def film_city(spec: FilmSpec, n_frames: int, cache: Path) -> Path:
    """The folder with at least the first n_frames frames: images/, times.txt, calib.json, groundtruth.txt.

    Frames that are there already are not rendered again, also those of a call that was cut short.
    """
    folder, plan = cache / spec.name, CityPlan()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    missing = [k for k in range(n_frames) if not image_file(folder, k).exists()]
    if missing:
        place = city(spec.seed, plan, TextureBank(spec.seed))
        drive = city_drive(plan, n_frames, spec.seed)
        for k, image in rendered(place, spec, drive, missing):
            write_bytes(image_file(folder, k), _jpeg(image))
            if k % 500 == 0:
                print(f"rendering: frame {k} of {n_frames}", file=sys.stderr)
    n = len(list((folder / "images").glob("*.jpg")))
    _write_truth(folder, spec, city_drive(plan, n, spec.seed))
    return folder


def image_file(folder: Path, k: int) -> Path:
    """Where frame k lies."""
    return folder / "images" / f"{k:05d}.jpg"


def rendered(
    place: City, spec: FilmSpec, drive: Drive, chosen: list[int], is_culled: bool = True
) -> Iterator[tuple[int, Array]]:
    """(frame number, image (H,W,3) uint8) of the chosen frames of a drive; is_culled: from the surfaces alone that may
    be seen, which gives the same images."""
    for begin in range(0, len(chosen), CHUNK):
        numbers = chosen[begin : begin + CHUNK]
        T = drive.T_world_cam[numbers]
        world = place.part(T[:, :2, 3]) if is_culled else place.world
        images = render(world, T, spec.camera, spec.supersample).images_uint8().numpy()
        yield from zip(numbers, images, strict=True)


def _jpeg(image: Array) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return bytes(data.tobytes())


def _write_truth(folder: Path, spec: FilmSpec, drive: Drive) -> None:
    c = spec.camera
    calib = {"width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy, "distortion": []}
    write_text(folder / "calib.json", json.dumps(calib, indent=1) + "\n")
    write_text(folder / "times.txt", "".join(f"{t:.6f}\n" for t in drive.timestamps_s))
    numbers = np.arange(len(drive.timestamps_s))
    truth = Trajectory(drive.timestamps_s, drive.T_world_cam, numbers, np.zeros(len(numbers), np.int64))
    write_trajectory(folder / "groundtruth.txt", truth, "tum")
