"""What each use of a network brings, with a stand-in that has a network's errors: switched on against switched off.

The sequences are rendered procedural worlds with exact truth. `pytest --junitxml FILE` keeps the figures.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from oracle import Film, OracleBackbone
from waiting import WaitedForLane

from vgslam.frontend.guide import VggtUse
from vgslam.frontend.network_guide import NetworkGuide
from vgslam.geometry import se3
from vgslam.refine.adjust import RefineConfig
from vgslam.slam import Slam, SlamConfig
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Array, Camera, Frame, Image, Status
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.sequences import Shot
from vgslam_train.worlds.sequences import film as shoot
from vgslam_train.worlds.trajectories import look

CAMERA = Camera.from_fov(480, 324, 70.0)
NOTHING = VggtUse(False, False, False)
ALL = VggtUse()
N_WALK, N_TURN = 10, 24
SEEDS = (0, 1, 2)
Record = Callable[[str, object], None]


def shown(kind: str, seed: int, T_world_cam: Array) -> Film:
    found = shoot(generate(kind, seed), T_world_cam, CAMERA, Shot(supersample=1))
    depth = [np.where(np.isfinite(d), d, 0).astype(np.float32) for d in found.depth]
    return Film(list(found.images), depth, found.T_world_cam, CAMERA)


def walk_turn_walk(centre: Array, yaw: float, turn_deg: float, n_after: int, step_m: float = 0.08) -> Array:
    """Sideways, then a turn on the spot which leaves nothing of the first view, then sideways again."""
    yaws = yaw + np.radians(
        np.concatenate([np.zeros(N_WALK), np.linspace(0, turn_deg, N_TURN + 1)[1:], np.full(n_after, turn_deg)])
    )
    side = np.stack([np.sin(yaws), -np.cos(yaws), np.zeros(len(yaws))], axis=1)
    along = np.concatenate([np.arange(N_WALK) - N_WALK + 1, np.zeros(N_TURN), np.arange(n_after) + 1]) * step_m
    return look(centre + side * along[:, None], yaws, np.full(len(yaws), -0.1), np.zeros(len(yaws)))


@pytest.fixture(scope="module")
def corridor() -> Film:
    """A turn by 100 degrees between two short walks: what scale means is lost on the way."""
    centre = generate("corridor", 4).free.center
    return shown("corridor", 4, walk_turn_walk(centre, 3.0, 100.0, 8))


def run(film: Film, use: VggtUse | None, seed: int = 0, config: SlamConfig | None = None) -> Slam:
    guide = None if use is None else NetworkGuide(OracleBackbone(film, seed=seed), use)
    slam = Slam(CAMERA, config, guide=guide)
    for i, image in enumerate(film.images):
        slam.process(Frame(i, i / 30, image))
    return slam


def scale_spread(slam: Slam, film: Film) -> float:
    """Largest over smallest scale (landmark depth over true depth) of the keyframes, but for the first, whose
    landmarks are partly guessed."""
    scales = [scale_of(slam, film, k) for k in range(1, len(slam.map.keyframes))]
    assert len(scales) >= 3
    return max(scales) / min(scales)


def scale_of(slam: Slam, film: Film, k: int) -> float:
    m = slam.map
    ids, camera = m.observed[k].ids, m.keyframes[k].camera
    px = camera.of_frames.project(camera.rays(m.observed[k].pixels)).round().astype(int)
    S = m.keyframes[k].S_world_keyframe
    z = S.inverse().apply(m.landmarks_world(ids))[:, 2] * S.s
    true = film.depth[m.keyframes[k].frame_id][px[:, 1], px[:, 0]]
    return float(np.median(z[true > 0] / true[true > 0]))


def blurred(image: Image, length_px: int, angle_rad: float) -> Image:
    """As a turn leaves it during the exposure."""
    kernel = np.zeros((length_px, length_px), np.float32)
    kernel[length_px // 2] = 1.0
    middle = (length_px - 1) / 2
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((middle, middle), np.degrees(angle_rad), 1.0), kernel.shape)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


LEAPS_DEG = [(35, 0, 0), (42, 0, 0), (0, 45, 0), (0, 35, 20), (20, 0, 30), (0, 25, 25), (25, 0, 15), (15, 25, -20)]


@pytest.fixture(scope="module")
def leaps() -> list[Film]:
    """A walk, and after it one of several fast turns (pitch, yaw, roll between two frames), blurred by 13 px."""
    centre = generate("room", 1).free.center
    walk = walk_turn_walk(centre, 1.0, 0.0, 0, 0.12)[: N_WALK + 2]
    turned = [
        walk[-1] @ se3.from_rt(se3.so3_exp(np.radians(np.array(d, np.float64))), np.array([0.08, 0.0, 0.05]))
        for d in LEAPS_DEG
    ]
    film = shown("room", 1, np.stack([*walk, *turned]))
    films = []
    for i, (pitch, yaw, _) in enumerate(LEAPS_DEG, start=len(walk)):
        image = blurred(film.images[i], 13, np.arctan2(pitch, yaw))
        T = np.stack([*walk, film.T_world_cam[i]])
        films.append(Film([*film.images[: len(walk)], image], [*film.depth[: len(walk)], film.depth[i]], T, CAMERA))
    return films


@pytest.mark.slow
def test_motion_guess_follows_a_fast_turn(leaps: list[Film], record_property: Record) -> None:
    """Frames with a pose, and how far its turn is from the true one; the other uses are on in both cases."""
    kept, errors, guided = {}, {}, []
    for name, use in (("on", ALL), ("off", replace(ALL, motion_guess=False))):
        slams = [run(film, use) for film in leaps]
        guided = slams if name == "on" else guided
        last = [slam.map.frames[-1] for slam in slams]
        kept[name] = [estimate.status is Status.TRACKED for estimate in last]
        errors[name] = [
            turn_error_deg(slam, film) for slam, film, is_kept in zip(slams, leaps, kept[name], strict=True) if is_kept
        ]
        record_property(f"frames kept of {len(leaps)}, {name}", sum(kept[name]))
        record_property(f"error of the turn in degrees, median, {name}", float(np.median(errors[name] or [np.nan])))
    assert sum(kept["on"]) >= 7
    assert sum(kept["off"]) < sum(kept["on"])
    assert np.median(errors["on"]) < 1.0
    believed = [slam.guide.desk.report()["n_believed"] for slam in guided if slam.guide is not None]
    assert sum(believed) == sum(kept["on"]) - sum(kept["off"])


@pytest.mark.slow
def test_motion_guess_follows_a_fast_turn_in_two_lanes_too(leaps: list[Film]) -> None:
    """The frame itself is told UNSURE; its row gets the pose that the mapping lane has found."""
    errors = []
    for film in leaps:
        lane: WaitedForLane = WaitedForLane("mapping")
        config = SlamConfig(refine=RefineConfig(is_on=False, while_running=False))
        slam = TwoLaneSystem(CAMERA, config, NetworkGuide(OracleBackbone(film), ALL), lane=lane)
        for i, image in enumerate(film.images):
            slam.process(Frame(i, i / 30, image))
        slam.settle()
        if slam.map.frames[-1].status is Status.TRACKED:
            errors.append(turn_error_deg(slam, film))
    assert len(errors) >= 7
    assert np.median(errors) < 1.0


def turn_error_deg(slam: Slam, film: Film) -> float:
    T = slam.map.trajectory().T_world_cam
    found, true = (se3.inverse(x[-2]) @ x[-1] for x in (T, film.T_world_cam))
    return float(se3.angle_deg(found[:3, :3].T @ true[:3, :3]))


@pytest.mark.slow
def test_patches_turn_with_a_rolling_camera(leaps: list[Film]) -> None:
    """A sharp roll by 35 degrees: patches that do not turn are found a degree or more beside where they should be."""
    film = leaps[0]
    rolled = film.T_world_cam[-2] @ se3.from_rt(se3.so3_exp(np.radians([0.0, 0.0, 35.0])), np.zeros(3))
    H = CAMERA.K @ (se3.inverse(rolled) @ film.T_world_cam[-2])[:3, :3] @ np.linalg.inv(CAMERA.K)
    image = cv2.warpPerspective(film.images[-2], H, (CAMERA.width, CAMERA.height), borderMode=cv2.BORDER_REPLICATE)
    T = np.stack([*film.T_world_cam[:-1], rolled])
    film = Film([*film.images[:-1], np.asarray(image, np.uint8)], film.depth, T, CAMERA)
    slam = run(film, ALL)
    assert slam.map.frames[-1].status is Status.TRACKED
    assert slam.map.frames[-1].n_inliers >= 40
    assert turn_error_deg(slam, film) < 0.6
