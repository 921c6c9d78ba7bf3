"""Folders of runs, as small as a page needs."""

import json
from pathlib import Path

import numpy as np

from vgslam.results.ply import write_ply


def write_run(folder: Path, n: int = 40, lost: tuple[int, ...] = (), components: tuple[int, ...] = (0,)) -> Path:
    """A camera that goes straight ahead; frames are split evenly between the components."""
    folder.mkdir(exist_ok=True)
    report = {
        "complete": True, "source_name": "hall", "n_frames": n, "n_poses": n - len(lost),
        "camera": {"width": 640, "height": 480, "fx": 320.0, "fy": 320.0},
        "loops": [{"frame_a": 0, "frame_b": n - 1, "shift": 0.1, "joined": None}],
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    rows, poses = ["frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe"], []
    for i in range(n):
        component = components[i * len(components) // n]
        rows.append(f"{i},{0.1 * i:.9f},{'LOST' if i in lost else 'TRACKED'},50,0.9,{component},0")
        if i not in lost:
            poses.append(f"{0.1 * i:.9f} 0 0 {0.2 * i} 0 0 0 1")
    (folder / "status.csv").write_text("\n".join(rows) + "\n")
    (folder / "trajectory.tum").write_text("\n".join(poses) + "\n")
    (folder / "keyframes.tum").write_text("\n".join(poses[::5]) + "\n")
    return folder


def write_cloud(folder: Path, n: int) -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform((-2, -1, 0), (2, 1, 8), (n, 3))
    write_ply(folder / "cloud.ply", points, rng.integers(0, 256, (n, 3)).astype(np.uint8))
