"""The pose back from keyframes alone, without any guess."""

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error, render, room, smooth_texture

from vgslam.reloc.localization import Localization
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Image


def relocalizer_of(known_map, config: RelocalizerConfig | None = None) -> Relocalizer:
    return Relocalizer(known_map.map, Places(known_map.map), known_map.tracker.config.features, config)


def recover(known_map, image: Image, n_recent: int = 3) -> Localization | None:
    """The answer, where it is accepted."""
    relocalizer = relocalizer_of(known_map)
    found = relocalizer.locate(known_map.tracker.view(99, 3.3, image), CAMERA, n_recent)
    return found if relocalizer.accepts(found) else None


@pytest.fixture
def mapped(known_map):
    """Three keyframes along the walk."""
    for frame in (0, 12, 24):
        known_map.add(frame)
    return known_map


@pytest.mark.parametrize("frame", [2, 10, 28])
def test_a_frame_between_the_keyframes_is_found(mapped, frame: int) -> None:
    found = recover(mapped, mapped.walk.images[frame])
    assert found is not None
    angle, distance = pose_error(found.T_world_cam, mapped.walk.T_world_cam[frame])
    assert angle < 0.3
    assert distance < 0.05
    assert found.evidence.ratio >= 0.6
    assert found.trust > 0.9
    assert found.method == "pnp"


def test_a_turned_view_from_aside_is_found(mapped) -> None:
    truth = mapped.walk.T_world_cam[24] @ pose((3, -4, 25), (0.3, 0.1, 0.2))
    found = recover(mapped, render(room(), CAMERA, truth)[0])
    assert found is not None
    angle, distance = pose_error(found.T_world_cam, truth)
    assert angle < 0.5
    assert distance < 0.08


def test_the_landmarks_found_are_those_of_the_keyframe(mapped) -> None:
    found = recover(mapped, mapped.walk.images[26])
    assert found is not None
    assert np.isin(mapped.map.landmarks.host[found.ids], found.references).all()
    assert found.keyframe_id in found.references
    assert found.evidence.n_inliers == len(found.ids) == len(np.unique(found.ids))
    ids, px = mapped.true_pixels(found.ids, 26)
    at = np.isin(found.ids, ids)
    assert at.mean() > 0.95
    assert np.median(np.linalg.norm(found.pixels[at] - px, axis=1)) < 0.5


def test_the_oldest_keyframe_is_found_by_its_looks(known_map) -> None:
    """Six keyframes elsewhere since: the place is not among the recent ones."""
    known_map.add(0)
    for i in range(6):
        known_map.walk.images[1] = render_other(i)
        known_map.add(1)
    found = recover(known_map, render(room(), CAMERA, pose((0, 0, 3), (0.2, 0, 0.1)))[0])
    assert found is not None
    assert found.keyframe_id == 0


def render_other(i: int) -> Image:
    return np.repeat(smooth_texture(320, seed=50 + i)[:240, :, None], 3, axis=2)


def test_what_was_never_seen_is_not_found(mapped) -> None:
    for i in range(3):
        assert recover(mapped, render_other(20 + i)) is None


def test_no_pose_from_black_grey_or_blur(mapped) -> None:
    shape = mapped.walk.images[0].shape
    assert recover(mapped, np.zeros(shape, np.uint8)) is None
    assert recover(mapped, np.full(shape, 128, np.uint8)) is None
    assert recover(mapped, cv2.GaussianBlur(mapped.walk.images[12], (0, 0), 25)) is None


def test_every_component_is_searched(known_map) -> None:
    known_map.add(0, component_id=0)
    for i in range(4):
        known_map.walk.images[20] = render_other(i)
        known_map.add(20, component_id=1)
    found = recover(known_map, known_map.walk.images[2])
    assert found is not None
    assert found.keyframe_id == 0


def test_an_empty_map_finds_nothing(known_map) -> None:
    assert recover(known_map, known_map.walk.images[0]) is None


def test_a_map_that_does_not_fit_the_images_gives_no_pose(mapped) -> None:
    """The image is recognised, but the landmarks lie elsewhere: no pose is better than a wrong one."""
    rng = np.random.default_rng(3)
    m = mapped.map
    for k in range(3):
        order = rng.permutation(len(m.observed[k].pixels))
        m.landmarks.xyz_host[m.observed[k].ids] = m.landmarks.xyz_host[m.observed[k].ids[order]]
    assert recover(mapped, mapped.walk.images[26]) is None
