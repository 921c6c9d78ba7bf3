"""Image folders and the plain layout, with the troubles that real folders have."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import CalibrationError, InputError
from vgslam.sources import SourceOptions, open_source

NAMES = [f"{i:03d}.png" for i in range(6)]


@pytest.fixture
def plain(tmp_path: Path, write_images) -> Path:
    """Six images at 10 Hz, calibrated, with truth moving along x."""
    write_images(tmp_path / "images", NAMES)
    (tmp_path / "times.txt").write_text("# seconds\n" + "".join(f"{5 + 0.1 * i:.6f}\n" for i in range(6)))
    calib = {"width": 64, "height": 48, "fx": 60.0, "fy": 61.0, "cx": 31.5, "cy": 23.5, "distortion": []}
    (tmp_path / "calib.json").write_text(json.dumps(calib))
    rows = [f"{5 + 0.1 * i:.6f} {i} 0 0 0 0 0 1\n" for i in range(6)]
    (tmp_path / "groundtruth.txt").write_text("".join(rows))
    return tmp_path


def test_plain_layout_delivers_images_times_camera_and_truth(plain: Path, picture) -> None:
    source = open_source(plain)
    frames = list(source)
    assert source.kind == "plain"
    assert source.name == plain.name
    assert source.n_frames == 6
    assert source.warnings == []
    assert [f.id for f in frames] == list(range(6))
    assert [f.timestamp_s for f in frames] == pytest.approx([5 + 0.1 * i for i in range(6)])
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(i))
        assert frame.camera == source.camera
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.width) == (60.0, 61.0, 64)
    assert source.truth is not None
    assert source.truth.is_metric
    np.testing.assert_allclose(source.truth.T_world_cam[:, 0, 3], range(6))


def test_iterating_twice_gives_the_same_frames_and_no_new_warnings(plain: Path) -> None:
    (plain / "images" / "002.png").write_bytes(b"no image")
    source = open_source(plain)
    first, warnings = [(f.id, f.timestamp_s, f.image.sum()) for f in source], list(source.warnings)
    assert [(f.id, f.timestamp_s, f.image.sum()) for f in source] == first
    assert source.warnings == warnings
    assert len(warnings) == 1


@pytest.mark.parametrize("focal", [{"fx": None, "fy": None}, {}])
def test_calibration_without_focal_length_means_uncalibrated(plain: Path, focal: dict[str, None]) -> None:
    (plain / "calib.json").write_text(json.dumps({"width": 64, "height": 48, "cx": 32, "cy": 24, **focal}))
    source = open_source(plain)
    assert source.camera is None
    assert all(f.camera is None for f in source)


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({"start": 2}, [2, 3, 4, 5]),
        ({"end": 3}, [0, 1, 2]),
        ({"stride": 2}, [0, 2, 4]),
        ({"start": 1, "end": 6, "stride": 2}, [1, 3, 5]),
        ({"start": 1, "stride": 2, "max_frames": 2}, [1, 3]),
        ({"max_frames": 100}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_selection_keeps_times_and_gives_dense_ids(plain: Path, picture, options: dict, used: list[int]) -> None:
    source = open_source(plain, SourceOptions(**options))
    frames = list(source)
    assert source.n_frames == len(used)
    assert [f.id for f in frames] == list(range(len(used)))
    assert [f.timestamp_s for f in frames] == pytest.approx([5 + 0.1 * i for i in used])
    for i, frame in zip(used, frames, strict=True):
        np.testing.assert_array_equal(frame.image, picture(i))


def test_start_beyond_the_end_is_refused(plain: Path) -> None:
    with pytest.raises(InputError, match="start 6 is beyond its 6 images"):
        open_source(plain, SourceOptions(start=6))


def test_image_folder_is_in_natural_order_at_the_nominal_rate(tmp_path: Path, write_images, picture) -> None:
    write_images(tmp_path, ["img1.png", "img2.png", "img10.png", "Img11.PNG"])
    (tmp_path / "._img1.png").write_bytes(b"left by another system")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "thumbnails.jpg").mkdir()
    source = open_source(tmp_path)
    frames = list(source)
    assert source.kind == "images"
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(i))
    assert [f.timestamp_s for f in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
    assert len(source.warnings) == 1
    assert "no timestamps" in source.warnings[0]


def test_chosen_frame_rate_replaces_the_nominal_one_without_a_warning(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, NAMES)
    source = open_source(tmp_path, SourceOptions(fps=8.0, stride=2))
    assert [f.timestamp_s for f in source] == pytest.approx([0.0, 0.25, 0.5])
    assert source.warnings == []


def test_corrupt_cut_empty_and_differently_sized_images_are_skipped_and_named(
    plain: Path, picture, write_image
) -> None:
    images = plain / "images"
    whole = (images / "001.png").read_bytes()
    (images / "001.png").write_bytes(whole[: len(whole) // 2])
    (images / "003.png").write_bytes(b"")
    write_image(images / "004.png", picture(4, width=32))
    source = open_source(plain)
    frames = list(source)
    assert [f.id for f in frames] == [0, 1, 2]
    assert [f.timestamp_s for f in frames] == pytest.approx([5.0, 5.2, 5.5])
    assert len(source.warnings) == 3
    for name in ("001.png", "003.png", "004.png"):
        assert sum(name in line for line in source.warnings) == 1


def test_a_first_image_of_another_size_does_not_condemn_the_others(plain: Path, picture, write_image) -> None:
    write_image(plain / "images" / "000.png", picture(0, width=32))
    source = open_source(plain)
    assert [f.image.shape for f in source] == [(48, 64, 3)] * 5
    assert "000.png" in source.warnings[0]


def test_many_bad_images_share_one_line(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, [f"{i:03d}.png" for i in range(12)])
    for i in range(1, 11):
        (tmp_path / f"{i:03d}.png").write_bytes(b"broken")
    source = open_source(tmp_path, SourceOptions(fps=1.0))
    assert len(list(source)) == 2
    assert source.warnings == [
        "10 images skipped, not a readable image: 001.png, 002.png, 003.png, 004.png, 005.png, ..."
    ]


def test_sixteen_bit_grey_and_alpha_images_in_the_middle_are_converted(plain: Path, picture, write_image) -> None:
    grey = picture(1, grey=True)
    write_image(plain / "images" / "001.png", grey)
    write_image(plain / "images" / "002.png", picture(2).astype(np.uint16) * 257)
    bgra = cv2.cvtColor(picture(3), cv2.COLOR_RGB2BGRA)
    bgra[..., 3] = 7
    cv2.imwrite(str(plain / "images" / "003.png"), bgra)
    write_image(plain / "images" / "004.png", grey.astype(np.uint16) * 257)
    source = open_source(plain)
    frames = [f.image for f in source]
    assert source.warnings == []
    assert all(image.shape == (48, 64, 3) and image.dtype == np.uint8 for image in frames)
    np.testing.assert_array_equal(frames[1], np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(frames[2], picture(2))
    np.testing.assert_array_equal(frames[3], picture(3))
    np.testing.assert_array_equal(frames[4], np.repeat(grey[..., None], 3, axis=2))


def test_a_floating_point_image_among_others_is_converted(plain: Path) -> None:
    cv2.imwrite(str(plain / "images" / "0025.tiff"), np.ones((48, 64), np.float32))
    (plain / "times.txt").write_text("".join(f"{i}\n" for i in range(7)))
    (plain / "groundtruth.txt").unlink()
    source = open_source(plain)
    frames = [f.image for f in source]
    assert len(frames) == 7
    assert sum(bool((image == 255).all()) for image in frames) == 1
    assert source.warnings == []


def test_all_images_bad_is_an_error(plain: Path) -> None:
    for name in NAMES:
        (plain / "images" / name).write_bytes(b"broken")
    with pytest.raises(InputError, match="none of its 6 images can be decoded"):
        open_source(plain)


def test_all_selected_images_bad_is_an_error_after_reading(plain: Path) -> None:
    (plain / "images" / "003.png").write_bytes(b"broken")
    source = open_source(plain, SourceOptions(start=3, end=4))
    with pytest.raises(InputError, match=r"not one frame could be read.*003\.png"):
        list(source)


def test_duplicate_and_decreasing_timestamps_drop_the_frame(plain: Path) -> None:
    (plain / "times.txt").write_text("5.0\n5.1\n5.1\n5.05\n5.4\n5.5\n")
    source = open_source(plain)
    frames = list(source)
    assert [f.timestamp_s for f in frames] == [5.0, 5.1, 5.4, 5.5]
    assert [f.id for f in frames] == [0, 1, 2, 3]
    assert source.warnings == ["2 images skipped, timestamp duplicate or decreasing: 002.png, 003.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n1\n2\n", "3 timestamps for 6 images"),
        ("0\n1\n2\nnan\n4\n5\n", "'nan' is not a timestamp"),
        ("0\n1\n2\nthree\n4\n5\n", "'three' is not a timestamp"),
    ],
)
def test_unusable_times_file_is_an_error(plain: Path, text: str, message: str) -> None:
    (plain / "times.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        open_source(plain)


def test_missing_times_file_gives_the_nominal_rate_and_a_warning(plain: Path) -> None:
    (plain / "times.txt").unlink()
    (plain / "groundtruth.txt").unlink()
    source = open_source(plain)
    assert [f.timestamp_s for f in source] == pytest.approx([i / 30 for i in range(6)])
    assert "30 frames/s assumed" in source.warnings[0]


def test_chosen_calibration_replaces_the_native_one_even_if_that_is_broken(plain: Path, tmp_path: Path) -> None:
    (plain / "calib.json").write_text("{")
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"width": 128, "height": 96, "fx": 100, "cx": 63.5, "cy": 47.5}))
    source = open_source(plain, SourceOptions(calib=mine))
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.cx, source.camera.width) == (50, 50, 31.5, 64)
    assert "scaled by 0.5" in source.warnings[0]


def test_calibration_of_another_aspect_is_refused(plain: Path) -> None:
    (plain / "calib.json").write_text(json.dumps({"width": 48, "height": 64, "fx": 60}))
    with pytest.raises(CalibrationError, match="48x64, the images are 64x48: the aspect differs"):
        open_source(plain)


def test_distorted_calibration_gives_a_pinhole_and_resampled_images(plain: Path, picture) -> None:
    calib = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, "distortion": [-0.2, 0, 0, 0]}
    (plain / "calib.json").write_text(json.dumps(calib))
    source = open_source(plain)
    frame = next(iter(source))
    assert source.camera is not None
    assert not source.camera.is_distorted
    assert source.camera.fx != 60.0
    assert frame.image.shape == (48, 64, 3)
    assert np.abs(frame.image.astype(int) - picture(0)).max() > 2


def test_truth_outside_the_time_of_the_images(plain: Path, tmp_path: Path) -> None:
    far = "".join(f"{1000 + i} 0 0 0 0 0 0 1\n" for i in range(3))
    (plain / "groundtruth.txt").write_text(far)
    source = open_source(plain)
    assert source.truth is None
    assert "truth not used" in source.warnings[0]
    (tmp_path / "chosen.txt").write_text(far)
    with pytest.raises(InputError, match="does not overlap the images in time"):
        open_source(plain, SourceOptions(truth=tmp_path / "chosen.txt"))


def test_malformed_truth_is_a_warning_when_native_and_an_error_when_chosen(plain: Path) -> None:
    (plain / "groundtruth.txt").write_text("5.0 0 0 0 0 0 0 nan\n")
    source = open_source(plain)
    assert source.truth is None
    assert "not finite" in source.warnings[0]
    with pytest.raises(InputError, match="not finite"):
        open_source(plain, SourceOptions(truth=plain / "groundtruth.txt"))


def test_chosen_truth_in_kitti_rows_takes_the_times_of_the_images(plain: Path) -> None:
    rows = "".join(f"1 0 0 {2 * i} 0 1 0 0 0 0 1 0\n" for i in range(6))
    (plain / "poses.txt").write_text(rows)
    source = open_source(plain, SourceOptions(truth=plain / "poses.txt"))
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.timestamps_s, [5 + 0.1 * i for i in range(6)])
    np.testing.assert_allclose(source.truth.T_world_cam[:, 0, 3], [0, 2, 4, 6, 8, 10])
    (plain / "poses.txt").write_text(rows.split("\n", 1)[1])
    with pytest.raises(InputError, match="5 poses but 6 timestamps"):
        open_source(plain, SourceOptions(truth=plain / "poses.txt"))


def test_rows_of_a_whole_sequence_are_found_by_the_numbers_in_the_names(plain: Path) -> None:
    for i in reversed(range(6)):
        image = plain / "images" / NAMES[i]
        image.rename(image.with_name(f"{i + 4:03d}.png"))
    (plain / "poses.txt").write_text("".join(f"1 0 0 {i} 0 1 0 0 0 0 1 0\n" for i in range(12)))
    (plain / "times.txt").write_text("".join(f"{0.5 * i}\n" for i in range(12)))
    source = open_source(plain, SourceOptions(truth=plain / "poses.txt"))
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[:, 0, 3], range(4, 10))
    np.testing.assert_allclose(source.truth.timestamps_s, [0.5 * i for i in range(4, 10)])
    assert sum("their rows in" in line for line in source.warnings) == 2


def test_a_single_image_is_one_frame(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["only.png"])
    source = open_source(tmp_path)
    assert source.n_frames == 1
    assert len(list(source)) == 1
