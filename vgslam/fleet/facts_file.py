"""`facts.json` and the small picture of a recording: what the summary is made of."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from vgslam.atomic import write_bytes, write_text
from vgslam.fleet.folder import FACTS
from vgslam.fleet.task import Ending, Facts
from vgslam.types import Image, Trajectory

THUMBNAIL = "thumbnail.jpg"
WIDTH_PX, QUALITY = 160, 70


def facts_of(
    n_frames: int, trajectory: Trajectory, duration_s: float, n_losses: int, n_components: int
) -> Facts:  # fmt: skip
    """The facts of a run with n_frames frames, of which `trajectory` has a pose."""
    ids, counts = np.unique(trajectory.component_ids, return_counts=True)
    centres = trajectory.T_world_cam[trajectory.component_ids == ids[counts.argmax()], :3, 3] if len(ids) else None
    length = 0.0 if centres is None else float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    return Facts(
        n_frames, len(trajectory), n_losses, n_components, round(length, 6), trajectory.is_metric, round(duration_s, 6)
    )


def write_facts(folder: Path, facts: Facts, ending: Ending, error: str) -> None:
    """Raises OutputError."""
    write_text(folder / FACTS, json.dumps({"ending": ending, "error": error, "facts": asdict(facts)}, indent=1) + "\n")


def write_thumbnail(folder: Path, image: Image) -> None:
    """The picture of a recording, from an image (H,W,3) RGB. Raises OutputError."""
    h, w = image.shape[:2]
    size = WIDTH_PX, max(1, round(h * WIDTH_PX / w))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    write_bytes(folder / THUMBNAIL, data.tobytes())
