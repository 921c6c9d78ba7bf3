"""What becomes of photos before they are looked for in a map, by their shape, their field of view and their lens."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.commands.photos import Photos
from vgslam.errors import ConfigError, InputError
from vgslam.map.slam_map import Session, SlamMap
from vgslam.types import Camera

PATH = Path("photo.jpg")


def mapped(recorded: Camera | None = None) -> SlamMap:
    """A map of images of 200x160, recorded by that camera."""
    m = hand_map([at()])
    m.sessions = [Session("a", "2026-01-02T03:04:05", 0, recorded)]
    return m


def photo(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


@pytest.mark.parametrize(("fov", "is_possible"), [(5.0, False), (5.1, True), (169.9, True), (170.0, False)])
def test_a_field_of_view_is_between_five_and_a_hundred_and_seventy_degrees(fov: float, is_possible: bool) -> None:
    if is_possible:
        Photos(mapped(), fov_deg=fov)
    else:
        with pytest.raises(ConfigError, match="between 5 and 170 degrees"):
            Photos(mapped(), fov_deg=fov)
    with pytest.raises(ConfigError, match="exclude each other"):
        Photos(mapped(), fov_deg=60.0, calib=PATH)


@pytest.mark.parametrize(
    ("width", "height", "is_possible"),
    [(200, 160, True), (400, 320, True), (407, 320, True), (409, 320, False), (393, 320, True), (391, 320, False)],
)
def test_a_photo_has_the_shape_of_its_cameras_images_to_two_percent(
    width: int, height: int, is_possible: bool
) -> None:
    photos = Photos(mapped())
    if is_possible:
        assert size(photos.prepare(PATH, photo(width, height))[1]) == (200, 160)
    else:
        with pytest.raises(InputError, match=rf"photo.jpg: the image is {width}x{height}, of another shape"):
            photos.prepare(PATH, photo(width, height))


def test_a_photo_that_is_turned_is_called_so() -> None:
    for width, height, what in ((160, 200, "turn it by 90 degrees"), (160, 201, "turn it"), (100, 200, "--calib, or")):
        with pytest.raises(InputError, match=what):
            Photos(mapped()).prepare(PATH, photo(width, height))


@pytest.mark.parametrize(
    ("given", "made"), [((400, 100), (200, 50)), ((100, 400), (50, 200)), ((200, 160), (200, 160))]
)
def test_by_its_field_of_view_a_photo_becomes_as_large_as_the_maps_images(
    given: tuple[int, int], made: tuple[int, int]
) -> None:
    localizer, image = Photos(mapped(), fov_deg=90.0).prepare(PATH, photo(*given))
    assert size(image) == made
    assert localizer.camera.fx == pytest.approx(made[0] / 2)
    assert (localizer.camera.width, localizer.camera.height) == made


def test_the_lens_of_the_map_is_taken_out_of_photos_of_its_camera_alone() -> None:
    bent = replace(CAMERA, distortion=(-0.2, 0.05, 0.0, 0.0))
    image = photo(200, 160)
    assert not np.array_equal(Photos(mapped(bent)).prepare(PATH, image)[1], image)
    assert np.array_equal(Photos(mapped(CAMERA)).prepare(PATH, image)[1], image)
    assert np.array_equal(Photos(mapped(bent), fov_deg=90.0).prepare(PATH, image)[1], image)


def test_photos_are_looked_for_with_their_own_camera_or_the_maps_as_it_was_adjusted(tmp_path: Path) -> None:
    m = mapped(replace(CAMERA, distortion=(-0.2, 0.05, 0.0, 0.0)))
    m.keyframes[0].camera = replace(CAMERA, fx=101.0, fy=101.0)
    assert Photos(m).prepare(PATH, photo(200, 160))[0].camera.fx == 101.0
    calib = tmp_path / "c.json"
    calib.write_text('{"width": 200, "height": 160, "fx": 150.0, "fy": 150.0, "cx": 99.5, "cy": 79.5}')
    assert Photos(m, calib=calib).prepare(PATH, photo(200, 160))[0].camera.fx == pytest.approx(150.0, abs=1.0)


def test_what_is_odd_about_a_calibration_is_told(tmp_path: Path) -> None:
    calib, said = tmp_path / "c.json", list[str]()
    calib.write_text('{"width": 200, "height": 160, "fx": 150.0, "fy": 250.0, "cx": 99.5, "cy": 79.5}')
    Photos(mapped(), calib=calib, say=said.append)
    assert len(said) == 1
