"""What the rerun viewer costs: the demo's first frames with and without it, alternately, in one process.

    python tools/viewer_cost.py [FRAMES] [REPEATS]

Prints CPU seconds of all threads (rerun's too) and the ratio of the fastest repeats, which other programs on the
machine disturb least.
"""

import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import cv2

from vgslam.interfaces import Viewer
from vgslam.slam import Slam
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Frame
from vgslam.viewer.open import open_viewer

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"


def cpu_s(frames: list[Frame], viewer: Viewer) -> float:
    """CPU seconds of a run over the frames, up to and with the viewer's close."""
    assert frames[0].camera is not None
    slam = Slam(frames[0].camera)
    began_s = time.process_time()
    for frame in frames:
        arrived_s = time.monotonic()
        estimate = slam.process(frame)
        viewer.show(frame, estimate, slam.map, time.monotonic() - arrived_s)
    slam.finish()
    viewer.close(slam.map)
    return time.process_time() - began_s


def main() -> None:
    cv2.setNumThreads(1)
    n, repeats = (int(word) for word in [*sys.argv[1:3], "220", "5"][:2])
    source = open_source(DEMO / "demo.mp4", SourceOptions(calib=DEMO / "calib.json", max_frames=n))
    frames = [f if f.camera else Frame(f.id, f.timestamp_s, f.image, source.camera) for f in source]
    times: dict[str, list[float]] = {"none": [], "rrd": []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeats):
            for name, target in (("none", None), ("rrd", f"{folder}/{i}.rrd")):
                times[name].append(cpu_s(frames, open_viewer(target, "cost")))
        size_mib = Path(f"{folder}/0.rrd").stat().st_size / 2**20
    for name, measured in times.items():
        print(f"{name:5} {' '.join(f'{t:.2f}' for t in measured)} CPU s")
    print(f"ratio of the fastest: {min(times['rrd']) / min(times['none']):.3f}; recording {size_mib:.1f} MiB")


if __name__ == "__main__":
    main()
