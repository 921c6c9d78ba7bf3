"""Which frames of a stream become windows."""

import numpy as np

from vgslam.adapt.collector import Collector, CollectorConfig
from vgslam.geometry.camera import Camera


def shifted(n: int, step_px: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (20, 80), np.uint8), np.ones((6, 6), np.uint8))
    return [np.repeat(wide[:, k * step_px : k * step_px + 160, None], 3, 2) for k in range(n)]


def windows(images: list[np.ndarray], collector: Collector) -> list[tuple[int, ...]]:
    found = [collector.add(image, i) for i, image in enumerate(images)]
    return [f.frame_ids for f in found if f is not None]


def test_frames_are_taken_when_the_camera_has_moved() -> None:
    camera = Camera(120.0, 120.0, 79.5, 59.5, 160, 120)
    found = windows(shifted(24, 3), Collector(camera, CollectorConfig(advance=2, min_motion=0.05)))  # 8 px: every third
    assert found[:2] == [(0, 3, 6, 9), (6, 9, 12, 15)]


def test_a_camera_at_rest_gives_none() -> None:
    camera = Camera(120.0, 120.0, 79.5, 59.5, 160, 120)
    assert windows(shifted(1, 0) * 20, Collector(camera)) == []


def test_frames_after_the_longest_gap_are_all_taken_and_made_small() -> None:
    camera = Camera(480.0, 480.0, 319.5, 239.5, 640, 480)
    collector = Collector(camera, CollectorConfig(advance=2, max_gap=10))
    images = [np.full((480, 640, 3), k, np.uint8) for k in range(6)]
    found = [collector.add(image, 10 * k) for k, image in enumerate(images)]
    assert [None if f is None else f.frame_ids for f in found] == [
        None,
        None,
        None,
        (0, 10, 20, 30),
        None,
        (20, 30, 40, 50),
    ]
    first = found[3]
    assert first is not None
    assert first.images[0].shape == (240, 320, 3)
    assert first.camera.fx == 240.0
