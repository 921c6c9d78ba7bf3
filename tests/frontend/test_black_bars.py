"""Black bars beside the picture, of images of 300x200 px, from both sides of each limit."""

from types import SimpleNamespace

import numpy as np
import pytest

from vgslam.frontend.black_bars import BLACK, EDGE, BlackBars
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.static_watch import StaticWatch
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap


def picture(above: int = 0, below: int = 0, left: int = 0, right: int = 0, black: int = BLACK) -> np.ndarray:
    gray = np.full((200, 300), 90, np.uint8)
    gray[:above] = gray[200 - below :] = gray[:, :left] = gray[:, 300 - right :] = black
    return gray


def bars(*frames: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows and columns of which all is in a bar after the frames."""
    found = BlackBars()
    for gray in frames:
        found.see(gray)
    if found.mask is None:
        return [], []
    return np.flatnonzero(found.mask.all(1)).tolist(), np.flatnonzero(found.mask.all(0)).tolist()


def test_bars_above_and_below_and_at_the_sides_with_what_is_blurred_beside_them() -> None:
    assert EDGE == 4
    assert bars(picture(20, 22)) == ([*range(24), *range(174, 200)], [])
    assert bars(picture(0, 0, 30, 33)) == ([], [*range(34), *range(263, 300)])
    assert bars(picture(20, 20, 30, 30)) == ([*range(24), *range(176, 200)], [*range(34), *range(266, 300)])
    assert bars(picture()) == ([], [])


@pytest.mark.parametrize(("with_bars", "without"), [
    (picture(4, 4), picture(3, 4)), (picture(80, 80), picture(81, 80)), (picture(20, 24), picture(20, 25)),
    (picture(24, 20), picture(25, 20)), (picture(20, 20, black=24), picture(20, 20, black=25)),
    (picture(0, 0, 6, 6), picture(0, 0, 6, 5)), (picture(0, 0, 60, 66), picture(0, 0, 60, 67)),
    (picture(20, 20), picture(20, 0)),
])  # fmt: skip
def test_bars_are_black_and_two_of_about_one_size(with_bars: np.ndarray, without: np.ndarray) -> None:
    """2 % of 200 rows are 4, 40 % 80; of 300 columns 6."""
    assert bars(with_bars) != ([], [])
    assert bars(without) == ([], [])


def test_what_was_not_black_in_a_frame_is_no_bar() -> None:
    nothing = np.zeros((200, 300), np.uint8)
    assert bars(nothing) == ([], [])
    assert bars(nothing, picture(20, 20)) == bars(picture(20, 20)), "a picture that is faded in"
    assert bars(picture(30, 30), picture(20, 22), picture(50, 50)) == bars(picture(20, 22))
    assert bars(picture(20, 20), picture()) == ([], [])
    assert bars(picture(), picture(20, 20)) == ([], []), "a scene that has become dark"
    found = BlackBars()
    told = [found.see(gray) for gray in (nothing, picture(20, 20), picture(20, 20), picture(), picture(20, 20))]
    assert told == [False, True, False, True, False]


def test_bars_are_ignored_from_the_first_frame_on_and_told() -> None:
    camera = Camera(300.0, 300.0, 149.5, 99.5, 300, 200)
    tracker, notes = SimpleNamespace(camera=camera, mask=ImageMask(300, 200)), list[str]()
    watch = StaticWatch(tracker, SlamMap(), notes, 5)  # type: ignore[arg-type]
    watch.see(SimpleNamespace(gray=picture(16, 16), frame_id=5))  # type: ignore[arg-type]
    assert tracker.mask.share == pytest.approx(0.2)
    assert not tracker.mask.allows(np.array([[150.0, 20.0]]))[0]
    assert tracker.mask.allows(np.array([[150.0, 100.0]]))[0]
    assert len(notes) == 1
    assert notes[0].startswith("20 % of the image never moves while the rest does (found by frame 0)")
    watch.see(SimpleNamespace(gray=picture(), frame_id=6))  # type: ignore[arg-type]
    assert tracker.mask.is_empty


def test_a_share_that_is_hardly_any_is_called_so() -> None:
    tracker, notes = SimpleNamespace(camera=Camera(300.0, 300.0, 149.5, 99.5, 300, 200)), list[str]()
    watch = StaticWatch(tracker, SlamMap(), notes)  # type: ignore[arg-type]
    for n, words in ((299, "less than 1 % of"), (310, "1 % of"), (920, "2 % of")):
        watch.found = np.arange(60_000).reshape(200, 300) < n
        watch._tell(3)
        assert notes[0].startswith(words)
    assert len(notes) == 1
