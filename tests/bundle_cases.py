"""Problems of bundle adjustment, and the same for GTSAM."""

from dataclasses import replace

import gtsam
import numpy as np
from gtsam.symbol_shorthand import L, X
from synthetic import CAMERA, PointScene, pose
from synthetic import observe as observe_inside

from vgslam.geometry import se3
from vgslam.multiview.bundle import PRIOR_HUBER_SIGMA, BundleProblem, bundle_adjust
from vgslam.types import Array

HUBER_PX = 1.5


def observe(T_world_cam: Array, points: Array, noise_px: float = 0.0, seed: int = 0) -> PointScene:
    """Every camera sees every point, so that each is determined."""
    return observe_inside(T_world_cam, points, noise_px, seed, only_inside=False)


def views(n: int = 5) -> Array:
    """Cameras moving sideways, up and ahead, turning a little."""
    return np.stack([pose((0.5 * i, -1.5 * i, 0.7 * i), (0.35 * i, -0.08 * i, 0.1 * i)) for i in range(n)])


def problem_of(scene: PointScene, n_fixed: int = 2) -> BundleProblem:
    """The scene's cameras and points as they truly are."""
    is_fixed = np.arange(len(scene.T_world_cam)) < n_fixed
    return BundleProblem(
        CAMERA, se3.inverse(scene.T_world_cam), is_fixed, scene.points, scene.frame, scene.point, scene.pixels
    )


def disturbed(problem: BundleProblem, seed: int, angle_rad: float = 0.01, shift: float = 0.05) -> BundleProblem:
    """Free cameras and all landmarks moved at random."""
    rng = np.random.default_rng(seed)
    T = problem.T_cam_world.copy()
    for c in np.flatnonzero(~problem.is_fixed):
        T[c] = se3.exp(np.concatenate([rng.normal(0, angle_rad, 3), rng.normal(0, shift, 3)])) @ T[c]
    return replace(problem, T_cam_world=T, landmarks=problem.landmarks + rng.normal(0, shift, problem.landmarks.shape))


def cost_of(problem: BundleProblem, T_cam_world: Array, landmarks: Array, huber_px: float = HUBER_PX) -> float:
    """The cost of a state, without a step."""
    at = replace(problem, T_cam_world=T_cam_world, landmarks=landmarks)
    return bundle_adjust(at, max_iterations=0, huber_px=huber_px).cost_before


def with_outliers(scene: PointScene, share: float, seed: int) -> PointScene:
    rng = np.random.default_rng(seed)
    px = scene.pixels.copy()
    bad = rng.random(len(px)) < share
    px[bad] += rng.normal(0, 25, (int(bad.sum()), 2))
    return replace(scene, pixels=px)


def gtsam_graph(problem: BundleProblem) -> tuple[gtsam.NonlinearFactorGraph, gtsam.Values]:
    """The same problem in GTSAM: fixed cameras as equality constraints, Huber on the pixel residual."""
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    c = problem.camera
    K = gtsam.Cal3_S2(c.fx, c.fy, 0.0, c.cx, c.cy)
    noise = gtsam.noiseModel.Robust.Create(
        gtsam.noiseModel.mEstimator.Huber.Create(HUBER_PX), gtsam.noiseModel.Isotropic.Sigma(2, 1.0)
    )
    for i, j, z in zip(problem.cam.tolist(), problem.point.tolist(), problem.pixels):
        graph.add(gtsam.GenericProjectionFactorCal3_S2(z, noise, X(i), L(j), K))
    if problem.depth_prior is not None and problem.depth_sigma is not None:
        for m in np.flatnonzero(np.isfinite(problem.depth_prior)):
            graph.add(gtsam_depth_prior(problem, int(m)))
    for i, T in enumerate(se3.inverse(problem.T_cam_world)):
        T_world_cam = gtsam.Pose3(gtsam.Rot3(T[:3, :3]), T[:3, 3])
        values.insert(X(i), T_world_cam)
        if problem.is_fixed[i]:
            graph.add(gtsam.NonlinearEqualityPose3(X(i), T_world_cam))
    for j, p in enumerate(problem.landmarks):
        values.insert(L(j), p)
    return graph, values


def gtsam_depth_prior(problem: BundleProblem, m: int) -> gtsam.CustomFactor:
    """The depth prior of observation m, a factor beside that of the pixel, with a Huber kernel of its own."""
    assert problem.depth_prior is not None
    assert problem.depth_sigma is not None
    i, j, prior = int(problem.cam[m]), int(problem.point[m]), float(problem.depth_prior[m])

    def error(_: gtsam.CustomFactor, values: gtsam.Values, H: list[np.ndarray] | None) -> np.ndarray:
        H_cam, H_point = np.zeros((3, 6), order="F"), np.zeros((3, 3), order="F")
        local = values.atPose3(X(i)).transformTo(values.atPoint3(L(j)), H_cam, H_point)
        if H is not None:
            H[0], H[1] = H_cam[2:] / local[2], H_point[2:] / local[2]
        return np.array([np.log(local[2] / prior)])

    huber = gtsam.noiseModel.mEstimator.Huber.Create(PRIOR_HUBER_SIGMA)
    noise = gtsam.noiseModel.Isotropic.Sigma(1, float(problem.depth_sigma[m]))
    return gtsam.CustomFactor(gtsam.noiseModel.Robust.Create(huber, noise), [X(i), L(j)], error)


def optimum_of_gtsam(graph: gtsam.NonlinearFactorGraph, values: gtsam.Values) -> gtsam.Values:
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(200)
    parameters.setRelativeErrorTol(1e-10)
    return gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()


def gtsam_values(T_cam_world: Array, landmarks: Array) -> gtsam.Values:
    values = gtsam.Values()
    for i, T in enumerate(se3.inverse(T_cam_world)):
        values.insert(X(i), gtsam.Pose3(gtsam.Rot3(T[:3, :3]), T[:3, 3]))
    for j, p in enumerate(landmarks):
        values.insert(L(j), p)
    return values


def is_behind(problem: BundleProblem, T_cam_world: Array, landmarks: Array) -> np.ndarray:
    """Whether each observation (M,) is of a point behind its camera."""
    T = T_cam_world[problem.cam]
    return (T[:, 2, :3] * landmarks[problem.point]).sum(1) + T[:, 2, 3] < 1e-3
