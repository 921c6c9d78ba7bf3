import cv2
import numpy as np

from vgslam.evaluation.evaluate import evaluate
from vgslam.results.plots import drawings
from vgslam.results.run_folder import PLOTS, RunWriter
from vgslam.results.status import StatusTable
from vgslam.types import Camera, Keyframe, PoseEstimate, Sim3, Status, Trajectory


def test_all_plots_of_a_run_are_written(tmp_path):
    n = 40
    t = 0.1 * np.arange(n)
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 3], T[:, 2, 3] = np.sin(t), t
    posed = np.delete(np.arange(n), [10, 11])
    estimate = Trajectory(t[posed], T[posed], posed)
    statuses = [
        PoseEstimate(i, t[i], Status.TRACKED, 0, np.eye(4)) if i in posed else PoseEstimate(i, t[i], Status.LOST)
        for i in range(n)
    ]
    frames = StatusTable.of(statuses, estimate)
    assert np.allclose(frames.lost_timestamps_s(estimate), [1.0, 1.1])
    image = np.full((30, 40, 3), 90, np.uint8)
    keyframe = Keyframe(
        0, 0, 0.0, image, Camera(30, 30, 20, 15, 40, 30), Sim3.identity(), 0, np.ones((15, 20), np.float32)
    )
    truth = Trajectory(t, T)
    drawn = drawings(estimate, frames, truth, evaluate(estimate, truth), [keyframe], "walk")
    pngs = {name: draw() for name, draw in drawn.items()}
    assert set(pngs) == set(PLOTS)
    writer = RunWriter(tmp_path / "run")
    for name, png in pngs.items():
        writer.write_plot(name, png)
        picture = cv2.imread(str(tmp_path / "run" / "plots" / name))
        assert picture is not None
        assert picture.std() > 1
    assert set(drawings(estimate)) == {"top_view.png"}
