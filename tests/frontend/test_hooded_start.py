"""A start does not take what never moves, such as a hood, for a camera that stands still."""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room, smooth_texture

from vgslam.frontend.corner_tracks import CornerTracks, Sighting
from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.initializer import Initializer, InitializerConfig, Start
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Image

HOOD = np.repeat(smooth_texture(320, seed=41)[:240, :, None], 3, axis=2).astype(np.uint8)


def hooded(image: Image, share: float) -> Image:
    out, top = image.copy(), round((1.0 - share) * 240)
    out[top:] = HOOD[top:]
    return out


def fed(images: list[Image]) -> tuple[Initializer, Start | None]:
    tracker = Tracker(CAMERA, SlamMap(), TrackerConfig(FeatureConfig(min_distance_px=8)))
    init = Initializer(tracker, WindowSfm(), InitializerConfig())
    for i, image in enumerate(images):
        start = init.step(tracker.view(i, i / 30, image))
        if start is not None:
            return init, start
    return init, None


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_places_that_flash_past_above_a_hood_are_no_camera_that_stands_still(share: float) -> None:
    """All that is followed is the hood; with half of the image it would keep the first view for ever."""
    flashes = [np.repeat(smooth_texture(320, seed=s)[:240, :, None], 3, axis=2).astype(np.uint8) for s in range(6)]
    init, start = fed([hooded(image, share) for image in flashes])
    assert start is None
    assert init._tracks is not None
    assert init._tracks.first.frame_id > 2


@pytest.mark.parametrize("share", [0.3, 0.45])
def test_a_wide_turn_above_a_hood_starts_with_the_turn(share: float) -> None:
    turn = [pose((0, 3.0 * (i - 10), 0)) for i in range(20)]
    _, start = fed([hooded(render(room(), CAMERA, T)[0], share) for T in turn])
    assert start is not None
    assert start.prediction is None
    at, last = start.corners[start.sightings[-1].index], start.sightings[-1].pixels
    assert (np.linalg.norm(last - at, axis=1) > 10.0).mean() > 0.9


def test_a_way_above_a_hood_starts_with_the_way() -> None:
    """So fast that half of the room has left before flow shows enough: descriptors show the motion."""
    way = [pose((0, 2.0 * i, 0), (0.25 * i, 0, 0.2 * i)) for i in range(10)]
    _, start = fed([hooded(render(room(), CAMERA, T)[0], 0.45) for T in way])
    assert start is not None
    assert start.prediction is not None
    truth = se3.inverse(way[start.first.frame_id]) @ way[start.last.frame_id]
    T = start.prediction.T_window_cam[-1]
    cosine = T[:3, 3] @ truth[:3, 3] / np.linalg.norm(T[:3, 3]) / np.linalg.norm(truth[:3, 3])
    assert np.degrees(np.arccos(min(1.0, cosine))) < 8.0
    assert se3.angle_deg(T[:3, :3].T @ truth[:3, :3]) < 1.5


def tracks_of(n_still: int, n_moved: int, n_gone: int) -> CornerTracks:
    """Corners of which the first stay, the next move by 10 px, and the last are seen in the second view of three."""
    n = n_still + n_moved + n_gone
    corners = np.random.default_rng(0).uniform(20, 200, (n, 2)).astype(np.float32)
    at = corners.copy()
    at[n_still:, 0] += 10.0
    views = [SimpleNamespace(frame_id=i, timestamp_s=i / 30) for i in range(3)]
    seen = [
        Sighting(0, 0.0, np.arange(n), corners), Sighting(1, 1 / 30, np.arange(n), at),
        Sighting(2, 2 / 30, np.arange(n - n_gone), at[: n - n_gone]),
    ]  # fmt: skip
    return CornerTracks(views[0], views[2], corners, seen)  # type: ignore[arg-type]


def test_what_stays_is_left_out_of_every_view_and_what_has_left_is_not() -> None:
    moved = tracks_of(3, 4, 5).of_moved(1.0)
    assert [seen.index.tolist() for seen in moved.sightings] == [
        list(range(12)), list(range(3, 12)), list(range(3, 7)),
    ]  # fmt: skip
    a, b = moved.pairs
    np.testing.assert_allclose(b - a, [[10.0, 0.0]] * 4, atol=1e-4)
    assert [len(tracks_of(3, 4, 5).of_moved(px).last.index) for px in (9.9, 10.1)] == [4, 0]


@pytest.mark.parametrize(("n_still", "n_moved", "n_gone", "is_leaving"), [
    (0, 71, 129, False),  # 35.5 % of 200 are left
    (0, 69, 131, True),
    (300, 71, 129, False),
    (300, 69, 131, True),
    (300, 26, 49, False),  # too few have gone to say anything
    (300, 26, 50, True),
    (300, 28, 50, False),
    (300, 0, 0, False),
])  # fmt: skip
def test_a_first_view_is_leaving_when_little_of_what_moves_is_left(
    n_still: int, n_moved: int, n_gone: int, is_leaving: bool
) -> None:
    init, _ = fed([])
    assert init._is_leaving(tracks_of(n_still, n_moved, n_gone)) == is_leaving


def test_a_standing_camera_keeps_its_first_view(walk: Array) -> None:
    init, start = fed([walk.images[0]] * 6)  # type: ignore[attr-defined]
    assert start is None
    assert init._tracks is not None
    assert init._tracks.first.frame_id == 0
