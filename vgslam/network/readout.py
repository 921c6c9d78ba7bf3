"""Poses of a window from a network: those of its camera head, or solved from its own flow and depth."""

from dataclasses import replace
from enum import StrEnum

import torch
from torch import Tensor

from vgslam.geometry import torch_se3
from vgslam.multiview.pose_solver import SolverConfig, solve_poses
from vgslam.network.matching import Flow
from vgslam.network.pose_encoding import decode_pose, quaternion_from_rotation
from vgslam.network.vggt import VggtOutput

CELL_PX = 4


class Readout(StrEnum):
    """HEAD: the camera head. SOLVER: robust Gauss-Newton on flow and depth, started at the head's poses; the head's
    where it does not succeed. RAYS: a homography from the rays of a network that predicts them; the head's where they
    determine none. AUTO: SOLVER where the network has flow, else HEAD."""

    AUTO = "auto"
    HEAD = "head"
    SOLVER = "solver"
    RAYS = "rays"


def cell_depth(depth: Tensor) -> Tensor:
    """Depth (...,H,W) at the centres of 4 px cells (...,H/4,W/4): mean inverse depth of four pixels, exact on
    planes."""
    rows, cols = depth.shape[-2] // CELL_PX, depth.shape[-1] // CELL_PX
    cells = (1.0 / depth.clamp(min=1e-6)).unflatten(-2, (rows, CELL_PX)).unflatten(-1, (cols, CELL_PX))
    return 1.0 / cells[..., 1:3, :, 1:3].mean(dim=(-3, -1))


def inverse_variance(flow: Flow) -> Tensor:
    """Weights (B,S,2,h,w) for the solver."""
    return (-2.0 * flow.log_scale).exp()


def relative_to_first(T_cam_world: Tensor) -> Tensor:
    """Poses (B,S,4,4) with the world at camera 0, which a network puts there only nearly."""
    return T_cam_world @ torch_se3.inverse(T_cam_world[:, :1])


def solved_poses(out: VggtOutput, K: Tensor, config: SolverConfig | None = None) -> Tensor:
    """T_cam_world (B,S,4,4) float64 by the solver; K (B,3,3), pixel (0,0) the centre of the top-left pixel. ValueError
    unless pose, depth and flow were asked for."""
    if out.pose_encoding is None or out.depth is None or out.flow is None:
        raise ValueError("the solver needs pose, depth and flow")
    start = relative_to_first(decode_pose(out.pose_encoding.double()))
    result = solve_poses(
        cell_depth(out.depth), out.flow.displacement, inverse_variance(out.flow), K, start, config or SolverConfig()
    )
    return result.T_cam_world


def with_solved_poses(out: VggtOutput, K: Tensor) -> VggtOutput:
    """The output with the last pose encoding's translation and rotation replaced by the solver's."""
    if out.pose_encodings is None:
        raise ValueError("the solver needs pose, depth and flow")
    T = solved_poses(out, K)
    encoding = out.pose_encodings[-1]
    pose = torch.cat([T[..., :3, 3], quaternion_from_rotation(T[..., :3, :3])], dim=-1)
    return replace(out, pose_encodings=[*out.pose_encodings, torch.cat([pose.to(encoding), encoding[..., 7:]], dim=-1)])
