"""Trials of relocalization on a recorded sequence with true poses: recall, false accepts, kidnapped cameras."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.rotation_mean import mean_rotation
from vgslam.geometry.sim3 import Sim3
from vgslam.localizer import Localizer
from vgslam.reloc.proposal import PoseProposer
from vgslam.slam import Slam
from vgslam.store.open import load_map
from vgslam.types import Array, Frame, Image, PoseEstimate, Status

LEVELS = ((0.05, 5.0), (0.25, 10.0))
"""Position (units of the truth) and angle (deg) within which a query counts as found."""
N_BEFORE, N_AFTER, N_CUT, N_BLACK, N_BACK = 45, 30, 40, 60, 600


@dataclass(frozen=True)
class Recorded:
    """A sequence with true poses."""

    images: list[Image]
    timestamps_s: Array  # (N,)
    T_world_cam: Array  # (N,4,4)
    camera: Camera


@dataclass(frozen=True)
class Query:
    """One query's answer by one method; errors are infinite where it was not accepted."""

    frame: int
    is_accepted: bool
    trust: float
    error: float
    error_deg: float  # angle after the alignment of positions
    error_rotations_deg: float  # angle after the alignment of rotations
    has_covisible: bool


def alignment(localizer: Localizer, truth: Array) -> Sim3:
    """S_truth_map from the positions of the map's frames."""
    found = localizer.map.trajectory()
    return umeyama(truth[found.frame_ids, :3, 3], found.T_world_cam[:, :3, 3])


def rotation_alignment(localizer: Localizer, truth: Array) -> Array:
    """R_truth_map (3,3) from the orientations of the map's frames: positions of a short or straight path hardly
    determine it."""
    found = localizer.map.trajectory()
    return mean_rotation(truth[found.frame_ids, :3, :3] @ np.swapaxes(found.T_world_cam[:, :3, :3], 1, 2))


def pose_error(S: Sim3, T_map_cam: Array, T_truth_cam: Array) -> tuple[float, float]:
    """Distance and angle (deg) of a pose of the map, brought to the truth, from the true one."""
    distance = float(np.linalg.norm(S.apply(T_map_cam[:3, 3]) - T_truth_cam[:3, 3]))
    return distance, se3.angle_deg((S.R @ T_map_cam[:3, :3]).T @ T_truth_cam[:3, :3])


def is_covisible(T: Array, others: Array, camera: Camera, depth: float, least: float = 0.5) -> bool:
    """Whether one of the cameras (N,4,4) sees at least that share of what camera T sees, if that lies at one
    depth, from a direction within 60 degrees."""
    u, v = np.meshgrid(np.linspace(0, camera.width - 1, 8), np.linspace(0, camera.height - 1, 6))
    points = se3.transform(T, camera.rays(np.stack([u.ravel(), v.ravel()], 1)) * depth)
    for other in others:
        local = se3.transform(se3.inverse(other), points)
        ahead = local[:, 2] > 0.1 * depth
        px = camera.project(np.where(ahead[:, None], local, [0.0, 0.0, 1.0]))
        inside = ahead & (px >= 0).all(1) & (px < [camera.width, camera.height]).all(1)
        if inside.mean() >= least and T[:3, 2] @ other[:3, 2] > 0.5:
            return True
    return False


def recall_trial(localizer: Localizer, seq: Recorded, frames: list[int], method: str) -> list[Query]:
    """Queries of frames outside the map by one method."""
    S, R = alignment(localizer, seq.T_world_cam), rotation_alignment(localizer, seq.T_world_cam)
    mapped = np.array([k.frame_id for k in localizer.map.keyframes])
    landmarks = localizer.map.landmarks
    depth = S.s * float(np.median(landmarks.xyz_host[landmarks.is_triangulated][:, 2]))
    out = []
    for i in frames:
        found = localizer.locate(seq.images[i], method)
        accepted = found is not None and localizer.accepts(found)
        error = (float("inf"), float("inf"), float("inf"))
        if found is not None and accepted:
            T, truth = found.T_world_cam, seq.T_world_cam[i]
            error = (*pose_error(S, T, truth), se3.angle_deg((R @ T[:3, :3]).T @ truth[:3, :3]))
        near = is_covisible(seq.T_world_cam[i], seq.T_world_cam[mapped], seq.camera, depth)
        out.append(Query(i, accepted, found.trust if found is not None else 0.0, *error, near))
    return out


def false_accepts(
    path: Path, images: list[Image], camera: Camera, proposer: PoseProposer | None = None
) -> tuple[int, int]:
    """Images of another place asked for in a map: how many were accepted, of how many."""
    localizer = Localizer(path, camera, None, proposer)
    accepted = sum(localizer.accepts(localizer.locate(image)) for image in images)
    return accepted, len(images)


@dataclass(frozen=True)
class Kidnap:
    """One trial: the camera jumps from frame `frame` to frame `there`. Errors are in units of the truth."""

    kind: str
    frame: int
    frames_to_pose: int | None  # usable frames until there is a pose of the same map; None if there is none
    error_before: float  # median error before the kidnap
    error_after: float  # median error after the kidnap
    worst: float  # largest error of a frame TRACKED or RELOCALIZED after the kidnap
    n_components: int
    there: int
    mapped_before: float  # median error of the frames before the kidnap when the map was made
    mapped_after: float  # median error of the frames after the kidnap when the map was made
    n_posed: int
    n_wrong: int  # number of the n_posed frames that are off by more than three times the map's root mean square error


def kidnap_trials(
    path: Path, seq: Recorded, n_mapped: int, n_trials: int, seed: int, show: Callable[[str], None]
) -> list[Kidnap]:
    """Cut, jump and darkness at random frames of the mapped part, in runs that continue the saved map. Jumps go back
    by N_BACK frames if that many are mapped, else anywhere."""
    rng = np.random.default_rng(seed)
    out = []
    for kind in ("cut", "jump", "dark"):
        for _ in range(n_trials):
            goes_back = kind == "jump" and n_mapped > N_BACK + N_BEFORE
            last = int(rng.integers(N_BACK if goes_back else N_BEFORE, n_mapped - N_CUT - N_AFTER))
            anywhere = last - N_BACK if goes_back else int(rng.integers(0, n_mapped - N_AFTER))
            there = {"cut": last + N_CUT, "dark": last + 1, "jump": anywhere}[kind]
            out.append(kidnap(path, seq, kind, last, there))
            show(f"{kind} at {last}: {out[-1].frames_to_pose} frames, error {out[-1].error_after:.3f}")
    return out


def kidnap(path: Path, seq: Recorded, kind: str, last: int, there: int) -> Kidnap:
    """Frames up to `last`, then those from `there` on, after a spell of black frames where kind is `dark`."""
    m = load_map(path)
    found = m.trajectory()
    S = umeyama(seq.T_world_cam[found.frame_ids, :3, 3], found.T_world_cam[:, :3, 3])
    off = np.linalg.norm(S.apply(found.T_world_cam[:, :3, 3]) - seq.T_world_cam[found.frame_ids, :3, 3], axis=1)
    mapped = np.full(len(seq.images), np.nan)
    mapped[found.frame_ids] = off
    n_components = len({k.component_id for k in m.keyframes})
    slam = Slam(seq.camera, slam_map=m)
    black: list[int | None] = [None] * (N_BLACK if kind == "dark" else 0)
    order = [*range(last - N_BEFORE + 1, last + 1), *black, *range(there, there + N_AFTER)]
    for n, i in enumerate(order):
        image: npt.NDArray[np.uint8] = np.zeros_like(seq.images[0]) if i is None else seq.images[i]
        slam.process(Frame(slam.first_frame_id + n, n / 30.0, image))
    slam.finish()
    frames = slam.map.frames[-len(order) :]
    errors = np.array([_error(slam, S, f, seq, i) for f, i in zip(frames, order, strict=True)])
    after = errors[-N_AFTER:]
    posed = np.flatnonzero(np.isfinite(after))
    limit = 3.0 * float(np.sqrt(np.mean(off**2)))
    return Kidnap(
        kind, last, int(posed[0]) if len(posed) else None, float(np.nanmedian(errors[:N_BEFORE])),
        float(np.median(after[posed])) if len(posed) else float("inf"),
        float(after[posed].max()) if len(posed) else float("nan"), slam.n_components - n_components, there,
        float(np.nanmedian(mapped[order[:N_BEFORE]])), float(np.nanmedian(mapped[there : there + N_AFTER])),
        len(posed), int((after[posed] > limit).sum()),
    )  # fmt: skip


def _error(slam: Slam, S: Sim3, frame: PoseEstimate, seq: Recorded, i: int | None) -> float:
    """Distance from the truth, NaN without a pose in the map's first component."""
    T = slam.map.pose_of(frame)
    if i is None or T is None or frame.component_id != 0 or frame.status not in (Status.TRACKED, Status.RELOCALIZED):
        return float("nan")
    return pose_error(S, T, seq.T_world_cam[i])[0]
