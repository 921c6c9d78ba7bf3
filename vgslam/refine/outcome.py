"""What the adjustment of a map did, for reports."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from vgslam.refine.problem import Problem
from vgslam.types import Array


@dataclass(frozen=True)
class Reprojection:
    """Reprojection errors of the observations of landmarks of known depth, in px of the frames."""

    mean_px: float
    p95_px: float
    n: int

    @staticmethod
    def of(problem: Problem) -> "Reprojection":
        """Those of a problem's active observations that have an image."""
        error = problem.errors_px()[problem.is_active()]
        error = error[np.isfinite(error)] / problem.camera.enlarged
        if not len(error):
            return Reprojection(0.0, 0.0, 0)
        return Reprojection(float(error.mean()), float(np.percentile(error, 95)), len(error))


@dataclass(frozen=True)
class CalibrationChange:
    """A camera before and after, with standard deviations; a deviation of 0: that was held."""

    fx_before: float
    fx_after: float
    fx_sigma: float
    k1: float
    k1_sigma: float
    refuted_px: float = 0.0
    """The focal length that was given, if the map refutes it; else 0."""

    def in_words(self) -> str:
        """A line for people."""
        parts = []
        if self.fx_sigma:
            parts.append(f"focal length {self.fx_before:.1f} -> {self.fx_after:.1f} +- {self.fx_sigma:.1f} px")
        if self.k1_sigma:
            parts.append(f"radial distortion 0 -> {self.k1:.4f} +- {self.k1_sigma:.4f}")
        return ", ".join(parts) or "calibration not determined by this motion, kept"


@dataclass(frozen=True)
class ComponentOutcome:
    """The adjustment of one component."""

    component_id: int
    n_keyframes: int
    is_kept: bool
    """Whether the map was changed."""
    reason: str = ""
    """Why not."""
    n_landmarks: int = 0
    before: Reprojection | None = None
    after: Reprojection | None = None
    n_moved: int = 0
    """Keyframes that moved by more than a hundredth of the median depth, or by half a degree."""
    largest_move: float = 0.0
    """As a share of the median depth."""
    calibration: CalibrationChange | None = None
    is_calibration_unfit: bool = False
    """Whether the images call for another calibration than the one that was given, and the map has not got it."""
    is_cut_short: bool = False
    """Whether time was over before it had converged."""
    readout_s: float = 0.0
    """Time from the first row of an image to its last that was taken out; 0: none was looked for, or found."""

    def then(self, second: "ComponentOutcome") -> "ComponentOutcome":
        """This adjustment followed by another one of the same component: the second counts if it was kept, with what
        was there before the first. Of moves it knows its own."""
        if not second.is_kept:
            return self
        change = second.calibration
        if change is not None and self.calibration is not None:
            first = self.calibration
            refuted_px = first.refuted_px or change.refuted_px
            change = replace(change, fx_before=first.fx_before, k1=first.k1 + change.k1, refuted_px=refuted_px)
        return replace(
            second, before=self.before, calibration=change, n_moved=max(self.n_moved, second.n_moved),
            largest_move=max(self.largest_move, second.largest_move),
        )  # fmt: skip


@dataclass(frozen=True)
class RefineOutcome:
    """The adjustment of a map."""

    components: list[ComponentOutcome] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    is_interrupted: bool = False

    def then(self, second: "RefineOutcome") -> "RefineOutcome":
        """This adjustment of a map followed by another one, between which components may have come apart or together:
        those of the second count, with what was there before the first."""
        first = {c.component_id: c for c in self.components}
        both = [first[c.component_id].then(c) if c.component_id in first else c for c in second.components]
        return RefineOutcome(
            both, self.cpu_s + second.cpu_s, self.wall_s + second.wall_s, self.is_interrupted or second.is_interrupted
        )

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)

    def warnings(self) -> list[str]:
        """A line for each calibration that was given and that the images refute."""
        changes = [c.calibration for c in self.components if c.is_kept and c.calibration is not None]
        unfit = [c for c in self.components if c.is_calibration_unfit]
        told = [] if not unfit else [
            "the calibration that was given does not fit the images: another focal length or distortion explains "
            f"{sum(c.n_keyframes for c in unfit)} keyframes far better; check it, or run without one"
        ]  # fmt: skip
        return told + [
            f"the focal length that was given ({c.refuted_px:.1f} px) does not fit the images, which call for "
            f"{c.fx_after:.1f} px: the map has that; check the calibration and the size of the images it is for"
            for c in changes
            if c.refuted_px
        ]

    def lines(self) -> list[str]:
        """Lines for people: one for each component that was adjusted, or refused."""
        lines = []
        for c in self.components:
            name = "" if len(self.components) == 1 else f" (component {c.component_id})"
            if c.before is None or c.after is None or not c.is_kept:
                lines.append(f"the map{name} was left as it is: {c.reason}")
                continue
            short = ", stopped as time was up" if c.is_cut_short else ""
            lines.append(
                f"{c.n_keyframes} keyframes{name} adjusted together{short}: reprojection error "
                f"{c.before.mean_px:.2f} -> {c.after.mean_px:.2f} px (95 %: {c.before.p95_px:.2f} -> "
                f"{c.after.p95_px:.2f}), {c.n_moved} moved, "
                f"{self.cpu_s:.1f} CPU s"
            )
            if c.readout_s:
                lines.append(f"the camera turns, and reads an image in {1e3 * c.readout_s:.0f} ms: taken into account")
            if c.calibration is not None:
                lines.append(c.calibration.in_words())
        return lines


def moves(a: Problem, b: Problem) -> tuple[Array, Array]:
    """How far keyframes moved: (C,) as a share of the median depth before, and (C,) in degrees."""
    Ta, Tb = a.T_world_cam(), b.T_world_cam()
    z = a.local_points()[a.is_active(), 2]
    depth = float(np.median(z)) if len(z) else 1.0
    shift = np.linalg.norm(Tb[:, :3, 3] - Ta[:, :3, 3], axis=1) / max(depth, 1e-9)
    R = np.matmul(Ta[:, :3, :3].transpose(0, 2, 1), Tb[:, :3, :3])
    cosine = np.clip((np.trace(R, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)
    return shift, np.degrees(np.arccos(cosine))
