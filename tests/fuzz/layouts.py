"""Folders of recordings: TUM, EuRoC, KITTI, 7-Scenes, the plain layout, lists of times, depth beside the images."""

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from fuzz.calibrations import TEXTS as CALIBRATIONS
from fuzz.grammar import ROWS
from fuzz.mutations import mostly, mutated_files
from fuzz.parser import Files, Parser
from fuzz.trajectories import TEXTS as TRAJECTORIES
from fuzz.trajectories import TUM
from hypothesis import strategies as st

from vgslam.errors import InputError
from vgslam.sources import SourceOptions, open_source
from vgslam.sources.depth_images import depth_of

POSE = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
WORDS = (
    b"rgb/0.5.png",
    b"/etc/passwd",
    b"../../canary",
    b"P0:",
    b"0.png",
    b"x" * 300,
    b"1403636579763555584",
    b"images/0.png",
)


def _png(i: int, is_depth: bool = False) -> bytes:
    rng = np.random.default_rng(i)
    image = rng.integers(0, 5000, (48, 64)).astype(np.uint16) if is_depth else rng.integers(0, 256, (48, 64), np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


PICTURES, DEPTHS = [_png(i) for i in range(3)], [_png(i, True) for i in range(3)]


def samples() -> list[Files]:
    """A folder for each layout, three images each."""
    times = [f"{i}.5" for i in range(3)]
    tum = {f"rgb/{t}.png": p for t, p in zip(times, PICTURES)} | {f"depth/{t}.png": p for t, p in zip(times, DEPTHS)}
    tum |= {f"{n}.txt": "".join(f"{t} {n}/{t}.png\n" for t in times).encode() for n in ("rgb", "depth")}
    tum |= {"groundtruth.txt": TUM.encode(), "calibration.txt": b"50 50 31 23\n"}
    stamps = [f"14036365797635{i}5584" for i in range(3)]
    euroc = {f"mav0/cam0/data/{s}.png": p for s, p in zip(stamps, PICTURES)}
    euroc |= {
        "mav0/cam0/data.csv": ("#timestamp,filename\n" + "".join(f"{s},{s}.png\n" for s in stamps)).encode(),
        "mav0/cam0/sensor.yaml": CALIBRATIONS["sensor.yaml"].encode(),
        "mav0/state_groundtruth_estimate0/data.csv": TRAJECTORIES["a.csv"].encode(),
    }
    kitti = {f"image_0/{i:06}.png": p for i, p in enumerate(PICTURES)} | {
        "times.txt": b"0.0\n0.1\n0.2\n",
        "calib.txt": b"P0: 50 0 31 0 0 50 23 0 0 0 1 0\nP1: 50 0 31 -5 0 50 23 0 0 0 1 0\n",
        "poses.txt": b"1 0 0 0 0 1 0 0 0 0 1 0\n" * 3,
    }
    scenes = {f"seq-01/frame-{i:06}.color.png": p for i, p in enumerate(PICTURES)}
    scenes |= {f"seq-01/frame-{i:06}.pose.txt": POSE.encode() for i in range(3)}
    scenes |= {f"seq-01/frame-{i:06}.depth.png": p for i, p in enumerate(DEPTHS)}
    plain = {f"images/{i}.png": p for i, p in enumerate(PICTURES)} | {f"depth/{i}.png": p for i, p in enumerate(DEPTHS)}
    plain |= {
        "times.txt": b"0.0\n0.1\n0.2\n",
        "calib.json": CALIBRATIONS["own.json"].encode(),
        "groundtruth.txt": TUM.encode(),
    }
    plain |= {"depth/calib.json": CALIBRATIONS["own.json"].encode()}
    return [tum, euroc, kitti, scenes, plain]


def read(folder: Path) -> None:
    """All frames, the truth and the depth, as the kind that is recognised."""
    source = open_source(folder, SourceOptions(max_frames=5))
    for frame in source:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape[2] == 3
    assert source.truth is None or np.isfinite(source.truth.T_world_cam).all()
    with suppress(InputError):
        depth = depth_of(source)
        for image in depth.images:
            depth.read_m(image)
        with suppress(InputError):
            depth.pixels(np.array([[0.0, 0.0, 1.0]]), (48, 64))


LISTS = st.tuples(
    st.sampled_from(
        ["rgb.txt", "times.txt", "groundtruth.txt", "calib.txt", "poses.txt", "mav0/cam0/data.csv", "depth.txt"]
    ),
    ROWS,
    st.integers(0, 4),
).map(lambda drawn: {**samples()[drawn[2]], drawn[0]: drawn[1]})
TEXT = (".txt", ".csv", ".json", ".yaml")
PARSERS = [Parser("layout", mostly(mutated_files(samples, WORDS, TEXT), mutated_files(samples, WORDS), LISTS), read)]
