"""A network as the predictor that validation asks: poses of its head and of the solver, and depth."""

import torch

from vgslam.multiview.pose_solver import SolverConfig
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first, solved_poses
from vgslam.network.vggt import Head, Vggt
from vgslam.network.vggt_backbone import laplace_scale
from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.validate import WindowGuess

_PIXELS_AT_ONCE = 1_000_000
"""Most pixels, over all frames, of the windows in one batch: cost volumes of larger networks take 16 KB a pixel."""


class ModelGuess:
    """Implements `validation.Predictor`. K is taken as known."""

    def __init__(self, model: Vggt, device: torch.device, solver: SolverConfig | None = None) -> None:
        self.model, self.device, self.solver = model, device, solver or SolverConfig()

    def __call__(self, batch: WindowBatch) -> WindowGuess:
        n = max(1, _PIXELS_AT_ONCE // batch.depth[0].numel())
        starts = range(0, len(batch.images), n)
        parts = [self._guess(WindowBatch(*(x[i : i + n] for x in vars(batch).values()))) for i in starts]
        solved = [p.T_solver for p in parts if p.T_solver is not None]
        return WindowGuess(
            torch.cat([p.T_cam_world for p in parts]), torch.cat(solved) if solved else None,
            torch.cat([p.depth for p in parts]),
            torch.cat([p.depth_scale for p in parts if p.depth_scale is not None]),
        )  # fmt: skip

    def _guess(self, batch: WindowBatch) -> WindowGuess:
        want = self.model.heads & {Head.POSE, Head.DEPTH, Head.FLOW}
        with torch.inference_mode():
            out = self.model(batch.images.to(self.device), want)
        if out.pose_encoding is None or out.depth is None or out.depth_confidence is None:
            raise ValueError("validation needs a network with pose and depth heads")
        T = relative_to_first(decode_pose(out.pose_encoding.double()))
        solved = None
        if out.flow is not None:
            solved = solved_poses(out, batch.K.to(self.device), self.solver)
        scale = laplace_scale(out.depth_confidence, self.model.config.depth_precision)
        return WindowGuess(T, solved, out.depth, scale)
