"""The start of a component: when, from which views, and what is kept meanwhile."""

import gc
import weakref

import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room, smooth_texture

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.initializer import Initializer, InitializerConfig, Start
from vgslam.frontend.matching import ImageFeatures, MatcherConfig
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig, View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Image

NO_PIXELS = np.zeros((0, 2), np.float32)


def initializer(min_distance_px: int = 14, **changes: object) -> tuple[Initializer, Tracker]:
    tracker = Tracker(CAMERA, SlamMap(), TrackerConfig(FeatureConfig(min_distance_px=min_distance_px)))
    return Initializer(tracker, WindowSfm(), InitializerConfig(**changes)), tracker


def feed(images: list[Image], min_distance_px: int = 14) -> tuple[Initializer, Start | None]:
    init, tracker = initializer(min_distance_px)
    for i, image in enumerate(images):
        start = init.step(tracker.view(i, i / 30, image))
        if start is not None:
            return init, start
    return init, None


def turning(n: int, step_deg: float) -> list[Image]:
    return [render(room(), CAMERA, pose((0, step_deg * (i - n / 2), 0)))[0] for i in range(n)]


def unrelated(seed: int = 99) -> Image:
    return np.repeat(smooth_texture(320, seed=seed)[:240, :, None], 3, axis=2)


def direction_error_deg(T: Array, truth: Array) -> float:
    cosine = T[:3, 3] @ truth[:3, 3] / np.linalg.norm(T[:3, 3]) / np.linalg.norm(truth[:3, 3])
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def test_starts_once_the_parallax_is_there(walk) -> None:
    _, start = feed(walk.images)
    assert start is not None
    assert start.prediction is not None
    assert start.first.frame_id == 0
    last = start.last.frame_id
    assert 5 < last < 31  # not on the first sight of motion
    T, truth = start.prediction.T_window_cam[-1], se3.inverse(walk.T_world_cam[0]) @ walk.T_world_cam[last]
    assert direction_error_deg(T, truth) < 8.0
    assert se3.angle_deg(T[:3, :3].T @ truth[:3, :3]) < 1.0


def test_sightings_are_of_the_first_view_s_corners(walk) -> None:
    _, start = feed(walk.images)
    assert start is not None
    assert [s.frame_id for s in start.sightings] == list(range(start.last.frame_id + 1))
    np.testing.assert_array_equal(start.sightings[0].pixels, start.corners)
    u, v = start.corners.round().astype(int).T
    z = walk.depth[0][v, u].astype(np.float64)
    for s in start.sightings[::4]:
        seen = s.index[z[s.index] > 0]
        local = se3.transform(
            se3.inverse(walk.T_world_cam[s.frame_id]) @ walk.T_world_cam[0],
            CAMERA.rays(start.corners[seen]) * z[seen, None],
        )
        error = np.linalg.norm(CAMERA.project(local) - s.pixels[z[s.index] > 0], axis=1)
        assert np.median(error) < 0.5
    assert start.earlier == []


def test_a_still_camera_never_starts(walk) -> None:
    _, start = feed([walk.images[0]] * 6)
    assert start is None


def test_a_slow_turn_is_reported_at_the_end_as_a_rotation() -> None:
    init, start = feed(turning(8, 0.8))
    assert start is None
    end = init.at_end()
    assert end is not None
    assert end.prediction is None
    assert end.last.frame_id == 7


@pytest.mark.parametrize("min_distance_px", [8, 18])
def test_a_wide_turn_starts_without_geometry(min_distance_px: int) -> None:
    """Once too few corners of the first view are left, a rotation is all there is to say."""
    _, start = feed(turning(20, 3.0), min_distance_px)
    assert start is not None
    assert start.prediction is None
    assert start.first.frame_id == 0
    assert 5 < start.last.frame_id < 19


@pytest.mark.parametrize("moved", [0.0, 0.04])
def test_a_turn_is_believed_only_if_what_descriptors_match_has_turned_too(
    moved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images turn on the spot. The matches are of a wall before a camera that `moved` with each frame of the turn:
    so flat that a turn leaves less than the parallax of a start, but it is not that of the tracks; they give the
    motion."""
    turns = [pose((0, 3.0 * (i - 10), 0)) for i in range(20)]
    images = [render(room(), CAMERA, T)[0] for T in turns]
    _, tracker = initializer()
    grays = [tracker.view(i, i / 30, image).gray for i, image in enumerate(images)]
    wall = np.random.default_rng(0).uniform((-0.9, -0.9, 3.0), (0.9, 0.9, 3.1), (200, 3))

    def wall_in(gray: Image, config: MatcherConfig) -> ImageFeatures:
        i = next(i for i, other in enumerate(grays) if np.array_equal(other, gray))
        T = turns[i] @ pose((0, 0, 0), (moved * i, 0, 0))
        local = se3.transform(se3.inverse(T) @ turns[0], wall)
        return ImageFeatures(CAMERA.project(local), np.zeros((len(wall), config.n_features), np.float32))

    monkeypatch.setattr("vgslam.frontend.initializer.describe", wall_in)
    monkeypatch.setattr("vgslam.frontend.initializer.match", lambda a, b, c: (np.arange(len(wall)),) * 2)
    init, _ = initializer()
    found = [init.step(tracker.view(i, i / 30, image)) for i, image in enumerate(images)]
    start = next(s for s in found if s is not None)
    if moved == 0.0:
        assert start.prediction is None
        return
    assert start.prediction is not None
    last = start.last.frame_id
    T, moves = start.prediction.T_window_cam[-1], pose((0, 0, 0), (moved * last, 0, 0))
    truth = se3.inverse(turns[0]) @ turns[last] @ moves
    assert direction_error_deg(T, truth) < 1.0
    assert se3.angle_deg(T[:3, :3].T @ truth[:3, :3]) < 0.5


def test_a_cut_begins_anew_and_remembers_the_views_before(walk) -> None:
    """Frames of another place first, then the walk: the first view is one of the walk's."""
    other = [unrelated() for _ in range(3)]
    _, start = feed(other + walk.images)
    assert start is not None
    assert start.prediction is not None
    assert start.first.frame_id == 3
    assert [v.frame_id for v in start.earlier] == [0, 1, 2]


def test_only_the_last_views_before_the_first_are_remembered(walk) -> None:
    init, tracker = initializer(max_earlier=12)
    images = [unrelated() for _ in range(4)] + walk.images
    starts = [init.step(tracker.view(i, i / 30, image)) for i, image in enumerate(images)]
    start = next(s for s in starts if s is not None)
    assert start.first.frame_id == 4
    assert start.last.frame_id > 12  # the views before the first have been forgotten one by one meanwhile
    ids = [v.frame_id for v in start.earlier]
    assert all(i < 4 for i in ids)
    assert ids == [i for i in range(4) if i > start.last.frame_id - 12]


def test_collecting_does_not_start(walk) -> None:
    _, start = feed(walk.images)
    assert start is not None
    last = start.last.frame_id
    init, tracker = initializer()
    views = [tracker.view(i, i / 30, image) for i, image in enumerate(walk.images)]
    assert all(init.step(v, may_start=False) is None for v in views[:last])
    start = init.step(views[last])
    assert start is not None
    assert start.last.frame_id == last
    assert len(start.sightings) == last + 1
    init, tracker = initializer()
    assert all(init.step(v, may_start=False) is None for v in views[: last + 1])


def test_nothing_is_known_before_two_views_and_after_a_reset(walk) -> None:
    init, tracker = initializer()
    assert init.at_end() is None
    view = tracker.view(0, 0.0, walk.images[0])
    assert init.step(view) is None
    assert init.at_end() is None
    init.reset()
    assert init.at_end() is None


def test_black_images_neither_start_nor_break(walk) -> None:
    black = np.zeros_like(walk.images[0])
    init, start = feed([black] * 4)
    assert start is None
    assert init.at_end() is None
    _, start = feed([black] * 3 + walk.images)
    assert start is not None
    assert start.first.frame_id == 3


@pytest.mark.parametrize("seed", range(3))
def test_a_sensor_s_noise_in_the_dark_is_no_turn(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(2.0, 1.5, (12, 480, 640, 3)).clip(0, 255).astype(np.uint8)
    camera = Camera.from_fov(640, 480, 65.0)
    made = Initializer(Tracker(camera, SlamMap(), TrackerConfig()), WindowSfm(), InitializerConfig())
    for i, image in enumerate(noise):
        assert made.step(made._tracker.view(i, i / 10, image)) is None


def test_a_camera_that_stands_still_does_not_fill_the_memory(walk) -> None:
    init, tracker = initializer(max_earlier=5)
    grays: list[weakref.ref] = []

    def step(i: int) -> None:
        view: View = tracker.view(i, i / 30, walk.images[0])
        grays.append(weakref.ref(view.gray))
        init.step(view)

    for i in range(40):
        step(i)
    gc.collect()
    alive = sum(g() is not None for g in grays)
    assert alive <= 15


def test_views_between_matched_ones_see_the_matched_corners(walk) -> None:
    """The pair is made by descriptors once most corners have left: those matched are followed through the views between
    from both ends, where their places are those of the geometry."""
    init, tracker = initializer(min_distance_px=60)  # too few corners for the pair to be made of what is followed
    n = 20
    starts = [init.step(tracker.view(i, i / 30, image), i == n - 1) for i, image in enumerate(walk.images[:n])]
    start = starts[-1]
    assert start is not None
    assert start.prediction is not None
    assert [s.frame_id for s in start.sightings] == list(range(n))
    matched = start.sightings[-1].index
    n_first = len(start.corners) - len(matched)
    assert matched.min() >= n_first, "the pair was not made by descriptors"
    u, v = start.corners.round().astype(int).T
    z = walk.depth[0][v, u].astype(np.float64)
    for s in start.sightings[1:-1]:
        assert np.isin(s.index, matched).all()
        assert len(s.index) > 0.8 * len(matched)
        seen = z[s.index] > 0
        T = se3.inverse(walk.T_world_cam[s.frame_id]) @ walk.T_world_cam[0]
        local = se3.transform(T, CAMERA.rays(start.corners[s.index[seen]]) * z[s.index[seen], None])
        assert np.median(np.linalg.norm(CAMERA.project(local) - s.pixels[seen], axis=1)) < 0.7
