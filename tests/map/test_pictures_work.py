"""Work and memory that pictures cost: changes are made when they are looked at, grey takes a third, and there is room
for others when they ask."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgslam.errors import OutputError
from vgslam.map.paged_keyframe import KeyframeImages
from vgslam.map.pictures import Picture, PictureKind, Pictures, describe, encode
from vgslam.types import Camera, Keyframe, Sim3

IMAGE, DEPTH = PictureKind.IMAGE, PictureKind.DEPTH


def picture(i: int) -> Picture:
    return np.random.default_rng(i).integers(0, 200, (8, 12, 3), np.uint8)


def grey(i: int) -> Picture:
    return np.repeat(picture(i)[..., :1], 3, axis=2)


class Counted:
    """Adds a number, and counts how often."""

    def __init__(self, number: int) -> None:
        self.number, self.n = number, 0

    def __call__(self, of: Picture) -> Picture:
        self.n += 1
        return (of + self.number).astype(of.dtype)


def test_a_change_is_made_when_it_is_looked_at_and_once() -> None:
    pictures, add, double = Pictures(), Counted(3), Counted(4)
    pictures.put((0, IMAGE), picture(0))
    for how in (add, double):
        pictures.change((0, IMAGE), how)
        pictures.change((1, IMAGE), how)
    assert (add.n, double.n) == (0, 0)
    for _ in range(2):
        found = pictures.get((0, IMAGE))
        assert found is not None
        np.testing.assert_array_equal(found, picture(0) + 7)
    assert (add.n, double.n) == (1, 1)
    assert pictures.get((1, IMAGE)) is None


def test_changes_come_in_their_order() -> None:
    pictures = Pictures()
    pictures.put((0, DEPTH), np.full((2, 2), 3.0, np.float32))
    pictures.change((0, DEPTH), lambda of: of + np.float32(1.0))
    pictures.change((0, DEPTH), lambda of: of * np.float32(2.0))
    found = pictures.get((0, DEPTH))
    assert found is not None
    assert (found == 8.0).all()


@pytest.mark.parametrize("budget", [0, 10**6])
def test_a_picture_on_disk_is_changed_too(tmp_path: Path, budget: int) -> None:
    pictures, add = Pictures(budget, spill_into=tmp_path), Counted(5)
    pictures.put((0, IMAGE), picture(0))
    pictures.change((0, IMAGE), add)
    pictures.put((1, IMAGE), picture(1))
    for _ in range(3):
        found = pictures.get((0, IMAGE))
        assert found is not None
        np.testing.assert_array_equal(found, picture(0) + 5)
    assert add.n == 1


def test_another_picture_is_not_changed() -> None:
    pictures, add = Pictures(), Counted(5)
    pictures.put((0, IMAGE), picture(0))
    pictures.change((0, IMAGE), add)
    pictures.put((0, IMAGE), picture(1))
    found = pictures.get((0, IMAGE))
    assert found is not None
    np.testing.assert_array_equal(found, picture(1))


def test_what_was_saved_before_a_change_is_not_what_is_there_now(tmp_path: Path) -> None:
    pictures = Pictures()
    data, suffix = encode(picture(0))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    file = describe(path, data)
    pictures.put_file((0, IMAGE), file)
    assert pictures.file((0, IMAGE)) is file
    pictures.change((0, IMAGE), Counted(5))
    assert pictures.file((0, IMAGE)) is None
    found = pictures.get((0, IMAGE))
    assert found is not None
    np.testing.assert_array_equal(found, picture(0) + 5)
    assert pictures.file((0, IMAGE)) is None


def test_a_change_after_a_save_is_made_of_what_was_saved(tmp_path: Path) -> None:
    pictures = Pictures()
    data, suffix = encode(picture(0))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    pictures.put((0, IMAGE), picture(0))
    pictures.is_saved((0, IMAGE), describe(path, data))
    pictures.change((0, IMAGE), Counted(5))
    with pictures.within(0):  # it is in its file alone
        found = pictures.get((0, IMAGE))
    assert found is not None
    np.testing.assert_array_equal(found, picture(0) + 5)


@pytest.mark.parametrize("budget", [0, 10**6])
def test_grey_images_take_a_third_and_come_back_in_three_channels(tmp_path: Path, budget: int) -> None:
    pictures = Pictures(budget, spill_into=tmp_path)
    pictures.put((0, IMAGE), grey(0))
    assert pictures.resident_bytes in (0, grey(0).nbytes // 3)
    found = pictures.get((0, IMAGE))
    assert found is not None
    np.testing.assert_array_equal(found, grey(0))
    almost = grey(1)
    almost[-1, -1, 2] += 1
    pictures.put((0, IMAGE), almost)
    assert pictures.resident_bytes in (0, almost.nbytes)
    found = pictures.get((0, IMAGE))
    assert found is not None
    np.testing.assert_array_equal(found, almost)


@given(st.lists(st.sampled_from([picture, grey]), min_size=1, max_size=8), st.integers(0, 2000))
def test_pictures_make_room_for_a_while_and_stay_what_they_are(makers: list, wanted: int) -> None:
    pictures = Pictures(10**6)
    made = [make(i) for i, make in enumerate(makers)]
    for i, image in enumerate(made):
        pictures.put((i, IMAGE), image)
    with pictures.within(wanted):
        for i, image in enumerate(made):
            assert pictures.resident_bytes <= wanted
            found = pictures.get((i, IMAGE))
            assert found is not None
            np.testing.assert_array_equal(found, image)
        assert pictures.resident_bytes <= wanted
    for i, image in enumerate(made):
        found = pictures.get((i, IMAGE))
        assert found is not None
        np.testing.assert_array_equal(found, image)
    sizes = [image.nbytes // (3 if make is grey else 1) for make, image in zip(makers, made, strict=True)]
    assert pictures.resident_bytes == sum(sizes)


def test_they_stay_where_the_disk_has_no_room(tmp_path: Path) -> None:
    """To make room is a wish, the budget is not."""
    pictures = Pictures(2 * picture(0).nbytes, spill_into=tmp_path / "absent")
    for i in range(2):
        pictures.put((i, IMAGE), picture(i))
    with pictures.within(0):
        assert pictures.resident_bytes == 2 * picture(0).nbytes
        with pytest.raises(OutputError, match="no room"):
            pictures.put((2, IMAGE), picture(2))


def test_images_of_keyframes_are_fetched_one_by_one() -> None:
    camera = Camera(10, 10, 6, 4, 12, 8)
    images = KeyframeImages([Keyframe(i, i, 0.1 * i, picture(i), camera, Sim3.identity()) for i in range(3)])
    assert len(images) == 3
    np.testing.assert_array_equal(images[1], picture(1))
    for found, i in zip(images[1:], (1, 2), strict=True):
        np.testing.assert_array_equal(found, picture(i))
