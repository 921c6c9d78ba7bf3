"""Fit the weights of the trust score (`vgslam/reloc/localization.py`) on rendered worlds of known truth.

    python tools/fit_trust.py [--seeds 24]

Each world is mapped from a walk, with exact poses and depths that are off by a few percent. Asked for are views from
between and beside the walk, with other exposure, blur and noise, and twice as many views of other worlds of the same
kind.
Every answer counts, however weak: the thresholds of a hypothesis are set far lower than in use. An answer is right
within 5 % of the median depth and 5 degrees. The odd worlds are fitted, the even ones tell how good the fit is.
About ten minutes on one core.
"""

import argparse
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.localizer import Localizer
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.localization import BIAS, WEIGHTS, Evidence
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Array, Edge, EdgeKind, Image, Keyframe, PoseEstimate, Status
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.trajectories import trajectory
from vgslam_train.worlds.world import World, render

KINDS = ("room", "clutter", "corridor", "street")
CAMERA = Camera.from_fov(320, 240, 65.0)
N_MAPPED, N_QUERIES = 24, 12
LOOSE = RelocalizerConfig()
LOOSE = replace(LOOSE, locate=replace(LOOSE.locate, min_inliers=6, min_ratio=0.2, min_refound=5))


@dataclass(frozen=True)
class Answer:
    """The evidence for an answer, whether it was right, and the seed of its world."""

    evidence: Evidence
    is_right: bool
    seed: int


def map_of(images: npt.NDArray[np.uint8], depth: Array, poses: Array, rng: np.random.Generator) -> SlamMap:
    """A map of rendered views, each with its own landmarks, their depth off by some percent."""
    m = SlamMap()
    for k, (image, T) in enumerate(zip(images, poses, strict=True)):
        S = Sim3.from_T(T)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, S, 0), np.zeros(0, np.int64), np.zeros((0, 2)))
        corners = cv2.goodFeaturesToTrack(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 300, 0.01, 7)
        px = np.zeros((0, 2)) if corners is None else corners[:, 0].astype(np.float64)
        u, v = px.round().astype(int).T
        z = depth[k][v, u].astype(np.float64)
        ok = np.isfinite(z)
        sigma = rng.choice([0.01, 0.03, 0.1], ok.sum(), p=[0.5, 0.4, 0.1])
        z = z[ok] * np.exp(sigma * rng.normal(size=ok.sum()))
        ids = m.landmarks.add(k, CAMERA.rays(px[ok]) * z[:, None], sigma, image[v, u][ok])
        m.landmarks.is_triangulated[ids] = True
        m.observe(k, ids, px[ok])
        m.frames.append(PoseEstimate(k, 0.1 * k, Status.TRACKED, k, np.eye(4), component_id=0))
        if k:
            S_a_b = m.keyframes[k - 1].S_world_keyframe.inverse() @ S
            m.edges[k - 1, k] = Edge(k - 1, k, S_a_b, np.full(7, 0.02), EdgeKind.ODOMETRY)
    return m


def walk(world: World, seed: int, n: int) -> Array:
    motion = "drive" if world.kind == "street" else "walk"
    return np.asarray(trajectory(motion, n, seed, world.free, 6.0), np.float64)


def beside(poses: Array, depth: float, rng: np.random.Generator, n: int) -> Array:
    """n poses (n,4,4) off the path by up to some tenths of the depth and some tens of degrees."""
    out = []
    for i in rng.integers(0, len(poses), n):
        angle = rng.normal(0, np.radians(rng.choice([3.0, 10.0, 25.0])), 3)
        shift = rng.normal(0, depth * rng.choice([0.03, 0.1, 0.25]), 3)
        out.append(poses[i] @ se3.from_rt(se3.so3_exp(angle), shift))
    return np.stack(out)


def disturbed(image: Image, rng: np.random.Generator) -> Image:
    """Another exposure, blur and noise."""
    x = image.astype(np.float32) * rng.uniform(0.6, 1.3) + rng.uniform(-15, 15)
    x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.6))
    return np.clip(x + rng.normal(0, rng.uniform(1, 8), x.shape), 0, 255).astype(np.uint8)


def answers(kind: str, seed: int) -> list[Answer]:
    """All answers in one world to its own views and those of another."""
    rng = np.random.default_rng(seed)
    world = generate(kind, seed)
    poses = walk(world, seed, 2 * N_MAPPED)
    film = render(world, poses[::2], CAMERA, supersample=1)
    depth = film.depth.numpy()
    localizer = Localizer(map_of(film.images_uint8().numpy(), depth, poses[::2], rng), CAMERA, LOOSE)
    middle = float(np.median(depth[np.isfinite(depth)]))
    asked = beside(poses[1::2], middle, rng, N_QUERIES)
    own = render(world, asked, CAMERA, supersample=1).images_uint8().numpy()
    other = generate(kind, seed + 5000)
    foreign = render(other, walk(other, seed, 2 * N_QUERIES), CAMERA, supersample=1).images_uint8().numpy()
    out = []
    for image, T in [*zip(own, asked, strict=True), *((image, None) for image in foreign)]:
        found = localizer.locate(disturbed(image, rng))
        if found is None or found.is_ambiguous:
            continue
        is_right = False
        if T is not None:
            apart = float(np.linalg.norm(found.T_world_cam[:3, 3] - T[:3, 3]))
            angle = se3.angle_deg(found.T_world_cam[:3, :3].T @ T[:3, :3])
            is_right = apart < 0.05 * middle and angle < 5.0
        out.append(Answer(found.evidence, is_right, seed))
    return out


def fit(x: Array, y: Array, ridge: float = 1.0) -> Array:
    """Bias and weights of the logistic regression of y (n,) on x (n,d) by Newton's method; weights are not negative,
    as more evidence never speaks against an answer."""
    used = list(range(x.shape[1]))
    while True:
        a = np.column_stack([np.ones(len(x)), x[:, used]])
        w = np.zeros(a.shape[1])
        keep = np.diag([0.0, *[ridge] * len(used)])
        for _ in range(50):
            p = 1.0 / (1.0 + np.exp(-a @ w))
            w += np.linalg.solve((a * (p * (1 - p))[:, None]).T @ a + keep, a.T @ (y - p) - keep @ w)
        if (w[1:] >= 0).all():
            out = np.zeros(1 + x.shape[1])
            out[0], out[[1 + i for i in used]] = w[0], w[1:]
            return out
        used.pop(int(np.argmin(w[1:])))


def calibration(p: Array, y: Array) -> str:
    """A table: what was claimed and what was right, with the mean gap between them and the Brier score."""
    lines, gap = [], 0.0
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.97), (0.97, 1.01)):
        mine = (p >= low) & (p < high)
        if mine.any():
            gap += abs(p[mine].mean() - y[mine].mean()) * mine.mean()
            lines.append(f"  {low:.2f}-{min(high, 1):.2f}: {mine.sum():4d} answers, claimed {p[mine].mean():.3f}, "
                         f"right {y[mine].mean():.3f}")  # fmt: skip
    right, wrong = p[y > 0.5], p[y < 0.5]
    order = (right[:, None] > wrong[None]).mean() if len(right) and len(wrong) else float("nan")
    accepted = p >= 0.5
    lines.append(
        f"  calibration error {gap:.3f}, Brier {((p - y) ** 2).mean():.3f}, AUC {order:.3f}; accepted at 0.5: "
        f"{(accepted & (y > 0.5)).sum()} of {int(y.sum())} right ones, {(accepted & (y < 0.5)).sum()} of "
        f"{int((1 - y).sum())} wrong ones"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=24)
    cv2.setNumThreads(1)
    found: list[Answer] = []
    for seed in range(parser.parse_args().seeds):
        found += answers(KINDS[seed // 2 % len(KINDS)], 700 + seed)
        print(f"world {seed}: {len(found)} answers, {sum(a.is_right for a in found)} right", flush=True)
    x = np.array([a.evidence.features() for a in found])
    y = np.array([float(a.is_right) for a in found])
    odd = np.array([a.seed % 2 == 1 for a in found])
    w = fit(x[odd], y[odd])
    print("fitted:", "BIAS", round(w[0], 2), "WEIGHTS", tuple(np.round(w[1:], 2).tolist()))
    print("fitted, on the worlds that were not:")
    print(calibration(1.0 / (1.0 + np.exp(-w[0] - x[~odd] @ w[1:])), y[~odd]))
    print("in use, on the same:")
    print(calibration(1.0 / (1.0 + np.exp(-BIAS - x[~odd] @ np.array(WEIGHTS))), y[~odd]))


if __name__ == "__main__":
    main()
