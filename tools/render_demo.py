"""Render the demo sequence that ships with the package: a walk around a furnished room that returns to its start.

    python tools/render_demo.py [--out vgslam/assets/demo] [--preview PNG]

Writes demo.mp4 (H.264), groundtruth.txt (TUM rows `timestamp tx ty tz qx qy qz qw`, camera-to-world, metres, z up) and
calib.json. The same seed gives the same poses and images; the bytes of the video depend on the encoder's version.
"""

import argparse
import json
from pathlib import Path

import av
import cv2
import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam_train.worlds.rooms import room
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import room_loop
from vgslam_train.worlds.world import World, render

SEED = 3
N_FRAMES = 220
RATE_HZ = 30
CAMERA = Camera.from_fov(480, 360, 75.0)
SUPERSAMPLE = 2
LIMIT_BYTES = 3_000_000


def demo_world() -> World:
    return room(SEED, TextureBank(SEED, 512), variants=8, shadow_rays=6, grid=24)


def demo_path() -> np.ndarray:
    """T_world_cam (N,4,4)."""
    return room_loop(N_FRAMES, float(RATE_HZ), np.random.default_rng(SEED), (1.4, 1.15), 1.5)


def render_frames(world: World, T_world_cam: np.ndarray) -> np.ndarray:
    """Images (N,H,W,3) uint8."""
    images = []
    for k, T in enumerate(T_world_cam):
        images.append(render(world, T[None], CAMERA, SUPERSAMPLE).images_uint8()[0].numpy())
        if k % 20 == 0:
            print(f"frame {k} of {len(T_world_cam)}", flush=True)
    return np.stack(images)


def write_video(path: Path, images: np.ndarray, crf: int) -> int:
    """Encode with constant quality; returns the size in bytes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow", "threads": "1"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path.stat().st_size


def write_truth(folder: Path, T_world_cam: np.ndarray) -> None:
    rows = ["# timestamp tx ty tz qx qy qz qw: camera to world, metres, world z up"]
    for k, T in enumerate(T_world_cam):
        q = se3.quaternion_from_rotation(T[:3, :3])
        rows.append(" ".join([f"{k / RATE_HZ:.6f}", *(f"{x:.9f}" for x in (*T[:3, 3], *q))]))
    (folder / "groundtruth.txt").write_text("\n".join(rows) + "\n")
    calib = {name: getattr(CAMERA, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "calib.json").write_text(json.dumps({**calib, "distortion": [0.0, 0.0, 0.0, 0.0]}, indent=1) + "\n")


def main() -> None:
    default = Path(__file__).resolve().parents[1] / "vgslam" / "assets" / "demo"
    parser = argparse.ArgumentParser(description="Render the demo sequence.")
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--preview", type=Path, help="also write a contact sheet")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = demo_path()
    images = render_frames(demo_world(), path)
    if arguments.preview:
        sheet = images[np.linspace(0, N_FRAMES - 1, 12).astype(int)][..., ::-1]
        cv2.imwrite(str(arguments.preview), np.concatenate([np.concatenate(sheet[i : i + 4], 1) for i in (0, 4, 8)], 0))
    for crf in range(13, 40):
        size = write_video(arguments.out / "demo.mp4", images, crf)
        if size <= LIMIT_BYTES:
            break
    write_truth(arguments.out, path)
    print(f"{len(images)} frames {CAMERA.width}x{CAMERA.height}, crf {crf}, {size} bytes")


if __name__ == "__main__":
    main()
