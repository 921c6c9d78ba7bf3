"""A network as the predictor that validation asks: poses of its head and of the solver, and depth."""

import torch

from vgslam.multiview.pose_solver import SolverConfig
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first, solved_poses
from vgslam.network.vggt import Head, Vggt
from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.validate import WindowGuess


class ModelGuess:
    """Implements `validation.Predictor`. K is taken as known."""

    def __init__(self, model: Vggt, device: torch.device, solver: SolverConfig | None = None) -> None:
        self.model, self.device, self.solver = model, device, solver or SolverConfig()

    def __call__(self, batch: WindowBatch) -> WindowGuess:
        want = self.model.heads & {Head.POSE, Head.DEPTH, Head.FLOW}
        with torch.inference_mode():
            out = self.model(batch.images.to(self.device), want)
        if out.pose_encoding is None or out.depth is None:
            raise ValueError("validation needs a network with pose and depth heads")
        T = relative_to_first(decode_pose(out.pose_encoding.double()))
        solved = None
        if out.flow is not None:
            solved = solved_poses(out, batch.K.to(self.device), self.solver)
        return WindowGuess(T, solved, out.depth)
