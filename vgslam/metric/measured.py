"""What was measured about the frame of reference of a component, and the session of the map that it was measured in."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry.robust_similarity import MAD_TO_SIGMA
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Keyframe, PoseEstimate

LEAST_REL_SIGMA = 1e-4  # no length is believed to better than this


@dataclass(frozen=True)
class Scale:
    """How many metres a map unit has."""

    metres_per_unit: float
    rel_sigma: float  # relative standard deviation
    n: int  # number of measurements that it is made of
    spread: float  # relative standard deviation of one measurement
    method: str
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(ratios: Array, method: str, sigmas: Array | None = None, floor: float = LEAST_REL_SIGMA) -> "Scale":
        """The median of N measurements (N,) of metres per unit. Its deviation comes from their spread, pi/2 being the
        median's variance over the mean's for normal errors. A single one has that of `sigmas` (N,), relative. floor:
        what all have in common, so that it does not average out. Raises ValueError for none, or one that is not
        positive."""
        if not len(ratios) or not (np.isfinite(ratios).all() and (ratios > 0).all()):
            raise ValueError("a scale needs measurements that are positive")
        logs = np.log(ratios)
        middle = float(np.median(logs))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(logs - middle)))
        own = float(np.median(sigmas)) if sigmas is not None and len(sigmas) else 0.0
        one = max(spread, own)
        rel = float(np.hypot(np.sqrt(np.pi / 2 if len(ratios) > 2 else 1.0) * one / np.sqrt(len(ratios)), floor))
        return Scale(float(np.exp(middle)), rel, len(ratios), one, method)


@dataclass(frozen=True)
class Gravity:
    """Which way is up."""

    up_world: Array  # (3,) unit vector against gravity in the component's axes
    sigma_deg: float  # standard deviation of its direction
    n: int  # number of keyframes that it is made of
    method: str
    notes: tuple[str, ...] = ()


@dataclass
class Finding:
    """What is known about one component, for the report."""

    component: int
    is_metric: bool = False
    is_upright: bool = False
    scale_from: str | None = None
    metres_per_unit: float | None = None  # metres in what was a map unit before
    scale_sigma_percent: float | None = None
    n_measurements: int | None = None
    spread_percent: float | None = None  # standard deviation of one measurement of the scale
    residual_rms_m: float | None = None  # distances of measured positions from the keyframes, after the graph
    gravity_from: str | None = None
    gravity_sigma_deg: float | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What a person reads."""
        out = []
        if self.is_metric and self.metres_per_unit is not None:
            residual = "" if self.residual_rms_m is None else f", positions within {self.residual_rms_m:.3g} m (rms)"
            out.append(f"scale from {self.scale_from}: 1 map unit = {self.metres_per_unit:.6g} m +- "
                       f"{self.scale_sigma_percent:.2g} % ({self.n_measurements} measurements{residual})")  # fmt: skip
        if self.is_upright and self.gravity_from is not None:
            out.append(f"gravity from {self.gravity_from}: z is up, +- {self.gravity_sigma_deg:.2g} deg")
        return [f"component {self.component}: {line}" for line in [*out, *self.notes]]


@dataclass(frozen=True)
class SessionView:
    """One session (by default the newest) of a map."""

    slam_map: SlamMap
    session: int = -1

    @property
    def first_frame_id(self) -> int:
        """Id in the map of the session's frame 0."""
        sessions = self.slam_map.sessions
        return sessions[self.session].first_frame_id if sessions else 0

    def posed_frame(self, number: int) -> tuple[PoseEstimate, Array]:
        """A frame, by its number in the source, and T_world_cam (4,4). Raises InputError without one."""
        wanted = number + self.first_frame_id
        frames = self.slam_map.session_frames(self.session)
        frame = next((f for f in frames if f.frame_id == wanted), None)
        if frame is None:
            raise InputError(f"there is no frame {number}; the session has {len(frames)}, counted from 0")
        T = self.slam_map.pose_of(frame)
        if T is None:
            raise InputError(f"frame {number} has no pose ({frame.status}); name another frame")
        return frame, T

    def component_of(self, frame: PoseEstimate) -> int:
        """The component that a frame with a pose belongs to."""
        return self.slam_map.keyframes[frame.ref_id].component_id

    def keyframes(self, component: int | None = None) -> list[Keyframe]:
        """The keyframes that the session added, of one component or of all."""
        begin = self.first_frame_id
        sessions = self.slam_map.sessions
        later = [s.first_frame_id for s in sessions if s.first_frame_id > begin]
        end = min(later, default=np.inf)
        return [
            k for k in self.slam_map.keyframes
            if begin <= k.frame_id < end and (component is None or k.component_id == component)
        ]  # fmt: skip

    def components(self) -> list[int]:
        """Components in which the session has keyframes, ascending."""
        return sorted({k.component_id for k in self.keyframes()})
