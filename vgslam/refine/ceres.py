"""One bundle adjustment by Ceres, through pycolmap, whose cost functions and sparse solvers are compiled.

The solver sees pixels whose rows are scaled by fx / fy, so that one focal length stands for both and their ratio stays.
A prior on it is written as observations (pycolmap has none): a camera that is held still observes points that are held
still at x / z = a, where a focal length f0 puts them; each residual is a (f - f0), and N of them with
N a^2 = 1 / sigma^2 are the prior N(f0, sigma).
"""

import os
import signal
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vgslam import beside
from vgslam.heap import give_memory_back
from vgslam.refine.problem import Mask, Problem
from vgslam.types import Array, Ids

N_PRIOR = 200
"""Observations that make up a prior: so many that each residual stays small, where the robust loss is a square."""
POINTS_AT_ONCE = 2_000
"""Points that are handed over together: an observation takes more memory as an object of Python than with Ceres."""
COLMAP_PIXEL = 0.5
"""COLMAP's pixel (0.5, 0.5) is the centre of the top-left pixel."""


@dataclass(frozen=True)
class FocalPrior:
    """A focal length (px) with its standard deviation, in units of a pixel's noise."""

    fx: float
    sigma_px: float


@dataclass(frozen=True)
class SolverOptions:
    """How Ceres is run."""

    max_iterations: int = 10
    """Steps at most."""
    loss_px: float = 1.0
    """Scale of the soft-L1 loss, in px."""
    tolerance: float = 1e-4
    """Relative decrease of the cost at which Ceres stops."""
    max_seconds: float = 1e9
    """CPU time after which it stops, about: Ceres looks at the clock on the wall, and is told a later time where the
    machine is busy."""


@dataclass(frozen=True)
class FreeCalibration:
    """What of the calibration is adjusted too."""

    prior: FocalPrior | None = None
    """The focal length, held by this prior; None: it stays."""
    is_k1_free: bool = False
    """Radial distortion, which the observations alone determine."""


def solve(
    problem: Problem, options: SolverOptions, free: FreeCalibration | None = None, held: Mask | None = None
) -> Problem:
    """The problem with adjusted poses, points and what is `free`; held (C,) bool: keyframes that stay.

    Only active observations count. The world stays where it is in the mean as the damping keeps it there; no gauge is
    fixed unless keyframes are held. Raises nothing for a problem that Ceres cannot solve: it comes back as it was.
    """
    give_memory_back()
    try:
        return _solved(problem, options, free, held)
    finally:
        give_memory_back()  # a solver takes some 2 KiB for an observation


def _solved(problem: Problem, options: SolverOptions, free: FreeCalibration | None, held: Mask | None) -> Problem:
    pycolmap = load_pycolmap()
    active = np.flatnonzero(problem.is_active())
    if not len(active):
        return problem
    model = _Model(problem, active)
    free = free or FreeCalibration()
    reconstruction = model.build(pycolmap, free.prior)
    config = pycolmap.BundleAdjustmentConfig()
    for image in range(1, len(problem.keyframe_ids) + 1):
        config.add_image(image)
    for c in np.flatnonzero(held) if held is not None else ():
        config.set_constant_rig_from_world_pose(int(c) + 1)
    model.configure_prior(config)
    solver = _options(pycolmap, options)
    solver.refine_focal_length, solver.refine_extra_params = free.prior is not None, free.is_k1_free
    if free == FreeCalibration():
        config.set_constant_cam_intrinsics(1)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(solver, config, reconstruction)
    summary = adjuster.solve()
    if not summary.is_solution_usable():
        return problem
    return model.read(reconstruction)


def load_pycolmap() -> Any:
    """pycolmap. Loading it takes SIGTERM over, and would end the program with a trace where a run ends in order:
    whoever had the signal before gets it back. Its warnings, of steps that the solver tries and gives up, are for its
    makers: what matters is the outcome."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if is_main and before is not None:
        signal.signal(signal.SIGTERM, before)
    pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    return pycolmap


def processes_a_core() -> float:
    """How many processes have wanted each core in the last minute, at least 1."""
    return max(1.0, os.getloadavg()[0] / beside.cores())


def _options(pycolmap: Any, options: SolverOptions) -> Any:
    o = pycolmap.BundleAdjustmentOptions()
    o.refine_principal_point = False
    o.print_summary = False
    c = o.ceres
    c.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    c.loss_function_scale = options.loss_px
    c.auto_select_solver_type = False
    s = c.solver_options
    s.linear_solver_type = type(s.linear_solver_type).SPARSE_SCHUR
    s.num_threads = 1  # the order of sums, and so the result, is the same every time
    s.max_num_iterations = options.max_iterations
    s.function_tolerance = options.tolerance
    s.max_solver_time_in_seconds = min(options.max_seconds * processes_a_core(), 1e9)
    c.min_num_residuals_for_cpu_multi_threading = 1_000_000_000
    return o


class _Model:
    """The problem as pycolmap's reconstruction, and back. Image c + 1 is keyframe c, point p + 1 is landmark p."""

    def __init__(self, problem: Problem, active: Ids) -> None:
        self.problem, self.active = problem, active
        camera = problem.camera
        self.aspect = camera.fx / camera.fy
        self.prior_images: list[int] = []
        self.prior_points: list[int] = []

    def build(self, pycolmap: Any, prior: FocalPrior | None) -> Any:
        p, camera = self.problem, self.problem.camera
        r = pycolmap.Reconstruction()
        params = [camera.fx, camera.cx + COLMAP_PIXEL, camera.cy * self.aspect + COLMAP_PIXEL, p.k1]
        r.add_camera_with_trivial_rig(pycolmap.Camera(
            camera_id=1, model="SIMPLE_RADIAL", width=camera.width, height=camera.height, params=params,
        ))  # fmt: skip
        cam = p.cam[self.active]
        order = np.argsort(cam, kind="stable")
        rows = self.active[order]
        begin = np.searchsorted(cam[order], np.arange(len(p.keyframe_ids) + 1))
        scaled = p.pixels[rows] * [1.0, self.aspect] + COLMAP_PIXEL
        for c in range(len(p.keyframe_ids)):
            image = pycolmap.Image(f"{c}", scaled[begin[c] : begin[c + 1]], 1, c + 1)
            r.add_image_with_trivial_frame(image, _rigid(pycolmap, p.T_cam_world[c]))
        index = np.arange(len(rows)) - begin[cam[order]]
        self._add_points(pycolmap, r, rows, index)
        if prior is not None:
            self._add_prior(pycolmap, r, prior)
        return r

    def _add_points(self, pycolmap: Any, r: Any, rows: Ids, index: Ids) -> None:
        """Points with their tracks: the observations `rows`, each number `index` of its image."""
        p = self.problem
        order = np.argsort(p.point[rows], kind="stable")
        point = p.point[rows[order]]
        image, index = p.cam[rows[order]] + 1, index[order]
        ids, begin = np.unique(point, return_index=True)
        ends = np.append(begin[1:], len(point))
        for first in range(0, len(ids), POINTS_AT_ONCE):
            some = slice(first, first + POINTS_AT_ONCE)
            start, end = int(begin[some][0]), int(ends[some][-1])
            elements = list(map(pycolmap.TrackElement, image[start:end].tolist(), index[start:end].tolist()))
            own = zip(ids[some].tolist(), (begin[some] - start).tolist(), (ends[some] - start).tolist(), strict=True)
            for i, b, e in own:
                seen = pycolmap.Point3D()  # as keywords, which pycolmap reads as a dict, these take three times as long
                seen.xyz, seen.track = p.points[i], pycolmap.Track(elements[b:e])
                r.add_point3D_with_id(i + 1, seen)
        self.used = ids

    def _add_prior(self, pycolmap: Any, r: Any, prior: FocalPrior) -> None:
        p, camera = self.problem, self.problem.camera
        a = 1.0 / (prior.sigma_px * np.sqrt(N_PRIOR))
        first_image, first = len(p.keyframe_ids) + 1, len(p.points) + 1
        n = N_PRIOR // 2
        pixel = [prior.fx * a + camera.cx + COLMAP_PIXEL, camera.cy * self.aspect + COLMAP_PIXEL]
        self.prior_images = [first_image, first_image + 1]  # pycolmap takes points that two images see, and no others
        for image_id in self.prior_images:
            image = pycolmap.Image(f"prior {image_id}", np.tile(pixel, (n, 1)), 1, image_id)
            r.add_image_with_trivial_frame(image, _rigid(pycolmap, np.eye(4)))
        self.prior_points = list(range(first, first + n))
        for i, point_id in enumerate(self.prior_points):
            track = pycolmap.Track([pycolmap.TrackElement(image_id, i) for image_id in self.prior_images])
            r.add_point3D_with_id(point_id, pycolmap.Point3D(xyz=np.array([a, 0.0, 1.0]), track=track))

    def configure_prior(self, config: Any) -> None:
        """Hold what the prior's observations are made of."""
        for image_id in self.prior_images:
            config.add_image(image_id)
            config.set_constant_rig_from_world_pose(image_id)
        for point_id in self.prior_points:
            config.add_constant_point(point_id)

    def read(self, r: Any) -> Problem:
        """The problem with what Ceres found."""
        p = self.problem
        T = p.T_cam_world.copy()
        for c in range(len(T)):
            pose = r.image(c + 1).cam_from_world()
            T[c, :3] = pose.matrix()
        points = p.points.copy()
        for i in self.used.tolist():
            points[i] = r.point3D(i + 1).xyz
        fx, _, _, k1 = r.camera(1).params.tolist()
        camera = p.camera if fx == p.camera.fx else replace(p.camera, fx=fx, fy=fx / self.aspect)
        return replace(p, camera=camera, k1=k1, T_cam_world=T, points=points)


def _rigid(pycolmap: Any, T: Array) -> Any:
    return pycolmap.Rigid3d(T[:3])
