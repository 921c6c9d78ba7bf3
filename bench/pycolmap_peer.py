"""pycolmap on a sequence, for comparison: `python -m bench.pycolmap_peer SEQUENCE OUT STRIDE`.

Incremental mapping with the focal length fixed to the calibration, sequential matching, otherwise pycolmap's defaults.
A separate process, so that its CPU time can be measured.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vgslam.errors import CalibrationError, MissingDependencyError, VgslamError
from vgslam.geometry import se3
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Camera, Trajectory

PEER_REPORT, PEER_TRAJECTORY = "pycolmap.json", "pycolmap.tum"
COLMAP_PIXEL_OFFSET = 0.5  # COLMAP's pixel (0, 0) is the corner of the image


def load_pycolmap() -> Any:
    """The module. Raises MissingDependencyError naming the pip command."""
    try:
        import pycolmap
    except ImportError as error:
        raise MissingDependencyError(
            "the comparison needs pycolmap: pip install pycolmap"
        ) from error
    return pycolmap


def export_images(sequence: Path, folder: Path, stride: int) -> tuple[Camera, np.ndarray]:
    """Writes every stride-th undistorted frame as PNG; returns their camera and timestamps (N,)."""
    source = open_source(sequence, SourceOptions(stride=stride))
    if source.camera is None:
        raise CalibrationError(f"{sequence}: not calibrated, so there is no focal length to fix")
    folder.mkdir(parents=True, exist_ok=True)
    times = []
    for frame in source:
        image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{frame.id:06d}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        times.append(frame.timestamp_s)
    return source.camera, np.array(times)


def run_peer(sequence: Path, out: Path, stride: int) -> None:
    """Writes PEER_REPORT and, of the largest model, PEER_TRAJECTORY into `out`. Raises VgslamError."""
    pycolmap = load_pycolmap()
    with tempfile.TemporaryDirectory(dir=out) as work:
        camera, times = export_images(sequence, Path(work) / "images", stride)
        wall_started = time.monotonic()
        models, stage_cpu_s = _reconstruct(pycolmap, Path(work), camera)
        wall_s = time.monotonic() - wall_started
    largest = max(models, key=lambda model: int(model.num_reg_images()), default=None)
    trajectory = None if largest is None else model_trajectory(largest, times)
    if trajectory is not None:
        write_trajectory(out / PEER_TRAJECTORY, trajectory)
    report = {
        "n_images": len(times), "n_registered": 0 if trajectory is None else len(trajectory), "n_models": len(models),
        "stride": stride, "cpu_s": sum(stage_cpu_s.values()), "wall_s": wall_s, "stage_cpu_s": stage_cpu_s,
        "version": pycolmap.__version__,
    }  # fmt: skip
    (out / PEER_REPORT).write_text(json.dumps(report, indent=2) + "\n")


def _reconstruct(pycolmap: Any, work: Path, camera: Camera) -> tuple[list[Any], dict[str, float]]:
    """Models of the images in work/images, and the CPU seconds of each stage."""
    images, database = work / "images", work / "database.db"
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE"
    parameters = (camera.fx, camera.fy, camera.cx + COLMAP_PIXEL_OFFSET, camera.cy + COLMAP_PIXEL_OFFSET)
    reader.camera_params = ",".join(f"{p:.9g}" for p in parameters)
    options = pycolmap.IncrementalPipelineOptions()
    options.ba_refine_focal_length = False
    options.ba_refine_extra_params = False
    clock = [time.process_time()]
    pycolmap.extract_features(database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader)
    clock.append(time.process_time())
    pycolmap.match_sequential(database)
    clock.append(time.process_time())
    models = pycolmap.incremental_mapping(database, images, work, options)
    clock.append(time.process_time())
    names = ("features", "matching", "mapping")
    return list(models.values()), dict(zip(names, np.diff(clock).tolist(), strict=True))


def model_trajectory(model: Any, times: np.ndarray) -> Trajectory:
    """Camera poses of a reconstruction whose images are named by their number in `times` (N,)."""
    poses = {}
    for image_id in model.reg_image_ids():
        image = model.images[image_id]
        rigid = image.cam_from_world() if callable(image.cam_from_world) else image.cam_from_world
        T_cam_world = np.vstack([np.asarray(rigid.matrix()), [0.0, 0.0, 0.0, 1.0]])
        poses[int(Path(image.name).stem)] = se3.inverse(T_cam_world)
    ids = np.array(sorted(poses), np.int64)
    return Trajectory(times[ids], np.array([poses[i] for i in ids]), ids)


def main(arguments: list[str]) -> int:
    """Exit code 0, or the error's with its line on standard error."""
    try:
        run_peer(Path(arguments[0]), Path(arguments[1]), int(arguments[2]))
    except VgslamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
