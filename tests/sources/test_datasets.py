"""TUM RGB-D, EuRoC, KITTI and 7-Scenes folders of a few images each."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import CalibrationError, InputError
from vgslam.sources import SourceOptions, open_source

# --- TUM RGB-D ---


@pytest.fixture
def tum(tmp_path: Path, write_images) -> Path:
    folder = tmp_path / "rgbd_dataset_freiburg2_desk"
    names = [f"13118.{i}00000.png" for i in range(4)]
    write_images(folder / "rgb", names, width=640, height=480)
    rows = "".join(f"{n.removesuffix('.png')} rgb/{n}\n" for n in names)
    (folder / "rgb.txt").write_text("# color images\n# timestamp filename\n" + rows)
    (folder / "depth").mkdir()
    truth = "# ground truth trajectory\n" + "".join(f"13118.{i:02d} 1 {i} 3 0 0 0.7071 0.7071\n" for i in range(40))
    (folder / "groundtruth.txt").write_text(truth)
    return folder


def test_tum_sequence(tum: Path) -> None:
    source = open_source(tum)
    frames = list(source)
    assert (source.kind, source.n_frames, source.warnings) == ("tum", 4, [])
    assert [f.timestamp_s for f in frames] == pytest.approx([13118.0, 13118.1, 13118.2, 13118.3])
    assert source.truth is not None
    assert len(source.truth) == 40
    # (qx qy qz qw) = a quarter turn about z takes the camera's x axis to the world's y axis.
    np.testing.assert_allclose(source.truth.T_world_cam[2][:3, 0], [0, 1, 0], atol=1e-4)
    np.testing.assert_allclose(source.truth.T_world_cam[2][:3, 3], [1, 2, 3])
    assert source.camera is not None
    assert 480 < source.camera.fx < 600  # of the freiburg2 camera, undistorted


def test_tum_camera_of_freiburg3_is_used_as_published(tum: Path) -> None:
    source = open_source(tum.rename(tum.with_name("rgbd_dataset_freiburg3_cabinet")))
    assert source.camera is not None
    assert (source.camera.fx, source.camera.cy) == (535.4, 247.6)


def test_tum_without_index_uses_the_names(tum: Path) -> None:
    (tum / "rgb.txt").unlink()
    assert [f.timestamp_s for f in open_source(tum)] == pytest.approx([13118.0, 13118.1, 13118.2, 13118.3])
    (tum / "rgb" / "13118.000000.png").rename(tum / "rgb" / "first.png")
    source = open_source(tum)
    assert [f.timestamp_s for f in source] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
    assert "there is no rgb.txt, and the image names are no times" in source.warnings[0]


@pytest.mark.parametrize(("listing", "row"), [
    ("rgb.txt", "{t} rgb/{n}.png"), ("associations.txt", "{t} rgb/{n}.png {d} depth/{n}.png"),
    ("associations.txt", "{d} depth/{n}.png {t} rgb/{n}.png"), ("associated.txt", "{t} rgb/{n}.png"),
])  # fmt: skip
def test_tum_numbered_images_have_their_times_from_a_list(tum: Path, listing: str, row: str) -> None:
    (tum / "rgb.txt").unlink()
    for i in range(4):
        (tum / "rgb" / f"13118.{i}00000.png").rename(tum / "rgb" / f"{i}.png")
    rows = [row.format(n=i, t=f"13118.{i}", d=f"13118.{i}4") for i in range(4)]
    (tum / listing).write_text("\n".join(rows) + "\n")
    source = open_source(tum)
    assert [f.timestamp_s for f in source] == pytest.approx([13118.0, 13118.1, 13118.2, 13118.3])
    assert source.warnings == []


@pytest.mark.parametrize("listing", [None, "rgb.txt", "associations.txt"])
def test_tum_numbers_are_no_times(tum: Path, listing: str | None) -> None:
    """Images 2, 3, 5, 6 with a truth in frame numbers too."""
    (tum / "rgb.txt").unlink()
    for i, n in enumerate((2, 3, 5, 6)):
        (tum / "rgb" / f"13118.{i}00000.png").rename(tum / "rgb" / f"{n}.png")
    if listing:
        (tum / listing).write_text("".join(f"{n} rgb/{n}.png\n" for n in (2, 3, 5, 6)))
    (tum / "groundtruth.txt").write_text("".join(f"{n} {n} 0 0 0 0 0 1\n" for n in range(10)))
    source = open_source(tum)
    times = [f.timestamp_s for f in source]
    assert times == pytest.approx([2 / 30, 3 / 30, 5 / 30, 6 / 30])
    assert any("no times in seconds: 30 frames/s assumed" in line for line in source.warnings)
    assert source.truth is not None
    x = np.interp(times, source.truth.timestamps_s, source.truth.T_world_cam[:, 0, 3])
    np.testing.assert_allclose(x, [2, 3, 5, 6])
    assert [f.timestamp_s for f in open_source(tum, SourceOptions(fps=1.0))] == pytest.approx([2, 3, 5, 6])


def test_tum_names_that_are_seconds_are_in_order_of_time(tum: Path) -> None:
    """.5 s come before .1 s in natural order when the names do not have the same number of digits."""
    (tum / "rgb.txt").unlink()
    for i, name in enumerate(("13118.5", "13118.25", "13118.125", "13119.0")):
        (tum / "rgb" / f"13118.{i}00000.png").rename(tum / "rgb" / f"{name}.png")
    assert [f.timestamp_s for f in open_source(tum)] == [13118.125, 13118.25, 13118.5, 13119.0]


def test_tum_camera_of_an_unknown_folder(tum: Path) -> None:
    folder = tum.rename(tum.with_name("mine"))
    source = open_source(folder)
    assert source.camera is None
    assert "give --calib" in source.warnings[0]
    (folder / "calibration.txt").write_text("500 501 319.5 239.5\n")
    source = open_source(folder)
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy) == (500, 501)
    (folder / "calibration.txt").write_text("-500 501 319.5 239.5\n")
    with pytest.raises(CalibrationError, match="fx must be positive"):
        open_source(folder)


def test_tum_images_that_are_listed_but_missing_are_skipped(tum: Path) -> None:
    (tum / "rgb" / "13118.200000.png").unlink()
    source = open_source(tum)
    assert source.n_frames == len(list(source)) == 3
    assert source.warnings == ["1 image skipped, listed in rgb.txt but not there: 13118.200000.png"]
    for name in ("0", "1", "3"):
        (tum / "rgb" / f"13118.{name}00000.png").unlink()
    with pytest.raises(InputError, match=r"rgb\.txt: none of the 4 images that it lists is there"):
        open_source(tum)


def test_tum_index_with_too_few_fields(tum: Path) -> None:
    (tum / "rgb.txt").write_text("13118.0\n")
    with pytest.raises(InputError, match=r"rgb\.txt, line 1: 1 fields instead of 2"):
        open_source(tum)


def test_truth_with_repeated_stamps_is_still_used(tum: Path) -> None:
    row = "13118.{} 0 0 0 0 0 0 1\n"
    (tum / "groundtruth.txt").write_text("".join(row.format(s) for s in ("00", "01", "01", "02")))
    source = open_source(tum)
    assert source.truth is not None
    assert len(source.truth) == 3


# --- EuRoC ---

NS = [1403636579763555584 + i * 50_000_000 for i in range(3)]
CAM_YAML = """# General sensor definitions.
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [0.0, -1.0, 0.0, 0.1,
         1.0, 0.0, 0.0, {y},
         0.0, 0.0, 1.0, 0.3,
         0.0, 0.0, 0.0, 1.0]
rate_hz: 20
resolution: [64, 48]
camera_model: pinhole
intrinsics: [{fx}, 51.0, 31.0, 23.0] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [0.0, 0.0, 0.0, 0.0]
"""


@pytest.fixture
def euroc(tmp_path: Path, write_images) -> Path:
    mav = tmp_path / "V1_01" / "mav0"
    for camera, y in (("cam0", 0.2), ("cam1", 0.7)):
        write_images(mav / camera / "data", [f"{t}.png" for t in NS], grey=True)
        (mav / camera / "sensor.yaml").write_text(CAM_YAML.format(y=y, fx=50.0 + y))
        rows = "".join(f"{t},{t}.png\r\n" for t in NS)
        (mav / camera / "data.csv").write_text("#timestamp [ns],filename\r\n" + rows)
    truth = mav / "state_groundtruth_estimate0"
    truth.mkdir()
    # The body at (1, 2, 3), turned by a half turn about x: (qw qx qy qz) = (0, 1, 0, 0).
    row = "{},1.0,2.0,3.0,0.0,1.0,0.0,0.0,0,0,0,0,0,0,0,0,0\n"
    (truth / "data.csv").write_text("#timestamp, p_RS_R_x [m], ...\n" + "".join(row.format(t) for t in NS))
    return tmp_path / "V1_01"


@pytest.mark.parametrize("inside", [False, True])
def test_euroc_sequence(euroc: Path, inside: bool) -> None:
    source = open_source(euroc / "mav0" if inside else euroc)
    frames = list(source)
    assert (source.kind, source.name, source.n_frames, source.warnings) == ("euroc", "V1_01", 3, [])
    assert [f.timestamp_s for f in frames] == [t / 10**9 for t in NS]
    assert frames[0].image.shape == (48, 64, 3)
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.cx) == (50.2, 51.0, 31.0)


def test_euroc_truth_is_moved_from_the_body_to_the_camera(euroc: Path) -> None:
    truth = open_source(euroc).truth
    assert truth is not None
    # The camera sits at (0.1, 0.2, 0.3) in the body, whose y and z axes point against the world's.
    np.testing.assert_allclose(truth.T_world_cam[0][:3, 3], [1.1, 1.8, 2.7], atol=1e-12)
    # The camera's x axis is the body's y axis, which is the world's -y.
    np.testing.assert_allclose(truth.T_world_cam[0][:3, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(truth.T_world_cam[0][:3, 1], [-1, 0, 0], atol=1e-12)
    assert truth.timestamps_s[1] == NS[1] / 10**9


def test_euroc_other_camera(euroc: Path) -> None:
    source = open_source(euroc, SourceOptions(topic="cam1"))
    assert source.camera is not None
    assert source.camera.fx == 50.7
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[0][:3, 3], [1.1, 1.3, 2.7], atol=1e-12)
    with pytest.raises(InputError, match="cameras here: cam0, cam1"):
        open_source(euroc, SourceOptions(topic="cam7"))


def test_euroc_without_csv_and_calibration_uses_the_names(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "data.csv").unlink()
    (euroc / "mav0" / "cam0" / "sensor.yaml").unlink()
    source = open_source(euroc)
    assert [f.timestamp_s for f in source] == [t / 10**9 for t in NS]
    assert source.camera is None
    assert "give --calib" in source.warnings[0]


def test_euroc_part_of_the_images(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "data" / f"{NS[0]}.png").unlink()
    source = open_source(euroc, SourceOptions(max_frames=1))
    assert [f.timestamp_s for f in source] == [NS[1] / 10**9]
    assert source.warnings == [f"1 image skipped, listed in data.csv but not there: {NS[0]}.png"]


def test_euroc_numbered_images_are_at_the_rate_of_the_data_set(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "data.csv").unlink()
    for i, stamp in enumerate(NS):
        (euroc / "mav0" / "cam0" / "data" / f"{stamp}.png").rename(euroc / "mav0" / "cam0" / "data" / f"{i}.png")
    source = open_source(euroc)
    assert [f.timestamp_s for f in source] == pytest.approx([0, 0.05, 0.1])
    assert "numbers, not nanoseconds: 20 frames/s assumed" in source.warnings[0]


def test_euroc_says_when_the_truth_is_that_of_the_body(euroc: Path) -> None:
    assert not open_source(euroc).warnings
    (euroc / "mav0" / "cam0" / "sensor.yaml").unlink()
    source = open_source(euroc)
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[0][:3, 3], [1, 2, 3])
    assert any("the truth is that of the body" in line for line in source.warnings)


def test_euroc_names_that_are_no_times(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "data.csv").write_text("one,1.png\n")
    with pytest.raises(InputError, match="must be whole nanoseconds"):
        open_source(euroc)


def test_euroc_calibration_that_is_not_a_number_is_refused(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "sensor.yaml").write_text(CAM_YAML.format(y=0, fx=".nan"))
    with pytest.raises(CalibrationError, match="fx is not a finite number"):
        open_source(euroc)


# --- KITTI odometry ---


@pytest.fixture
def kitti(tmp_path: Path, write_images) -> Path:
    folder = tmp_path / "sequences" / "07"
    for camera in ("image_0", "image_2"):
        write_images(folder / camera, [f"{i:06d}.png" for i in range(3)], grey=camera == "image_0")
    (folder / "times.txt").write_text("0.000000e+00\n1.036260e-01\n2.072520e-01\n")
    # Camera 2 sits 0.06 m to the left (at x = -0.06) of camera 0: P2 = K [I | (0.06, 0, 0)].
    (folder / "calib.txt").write_text(
        "P0: 70 0 31 0 0 71 23 0 0 0 1 0\nP1: 70 0 31 -37 0 71 23 0 0 0 1 0\nP2: 70 0 31 4.2 0 71 23 0 0 0 1 0\n"
        "Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n"
    )
    (tmp_path / "poses").mkdir()
    # Driving along z while turned by a quarter turn about y: the camera's z axis is the world's x axis.
    rows = "".join(f"0 0 1 {i} 0 1 0 0 -1 0 0 {2 * i}\n" for i in range(3))
    (tmp_path / "poses" / "07.txt").write_text(rows)
    return folder


def test_kitti_sequence(kitti: Path) -> None:
    source = open_source(kitti)
    frames = list(source)
    assert (source.kind, source.name, source.n_frames, source.warnings) == ("kitti", "07", 3, [])
    assert [f.timestamp_s for f in frames] == pytest.approx([0, 0.103626, 0.207252])
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.cx, source.camera.cy) == (70, 71, 31, 23)
    assert frames[0].image.shape == (48, 64, 3)
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[2][:3, 3], [2, 0, 4])
    np.testing.assert_allclose(source.truth.T_world_cam[2][:3, 2], [1, 0, 0])
    np.testing.assert_allclose(source.truth.timestamps_s, [0, 0.103626, 0.207252])


def test_kitti_colour_camera_has_truth_of_its_own(kitti: Path, picture) -> None:
    source = open_source(kitti, SourceOptions(topic="image_2"))
    np.testing.assert_array_equal(next(iter(source)).image, picture(0))
    assert source.truth is not None
    # x = -0.06 of camera 0 is z = +0.06 of the world.
    np.testing.assert_allclose(source.truth.T_world_cam[0][:3, 3], [0, 0, 0.06], atol=1e-12)


def test_kitti_part_of_a_sequence_finds_its_rows(kitti: Path) -> None:
    for name in ("image_0", "image_2"):
        (kitti / name / "000000.png").unlink()
    (kitti / "times.txt").write_text("0.1\n0.2\n")
    source = open_source(kitti)
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[:, :3, 3], [[1, 0, 2], [2, 0, 4]])
    np.testing.assert_allclose(source.truth.timestamps_s, [0.1, 0.2])


@pytest.mark.parametrize("count_from", [0, 1])
def test_kitti_part_of_a_sequence_with_all_its_times(kitti: Path, count_from: int) -> None:
    for n in (2, 1, 0):
        (kitti / "image_0" / f"{n:06d}.png").rename(kitti / "image_0" / f"{n + 3 + count_from:06d}.png")
    (kitti / "times.txt").write_text("".join(f"{0.1 * i:.1f}\n" for i in range(6 if count_from else 40)))
    source = open_source(kitti)
    assert [f.timestamp_s for f in source] == pytest.approx([0.3, 0.4, 0.5])
    assert any("3 of" in line and "their rows in times.txt" in line for line in source.warnings)


def test_kitti_without_times_is_at_the_rate_of_the_data_set(kitti: Path) -> None:
    (kitti / "times.txt").unlink()
    (kitti / "image_0" / "000001.png").unlink()
    source = open_source(kitti)
    assert [f.timestamp_s for f in source] == pytest.approx([0, 0.2])
    assert "10 frames/s assumed" in source.warnings[0]
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.timestamps_s, [0, 0.2])


def test_kitti_truth_beside_the_images(kitti: Path) -> None:
    (kitti.parent.parent / "poses" / "07.txt").rename(kitti / "poses.txt")
    assert open_source(kitti).truth is not None
    (kitti / "poses.txt").write_text("1 2 3\n")
    source = open_source(kitti)
    assert source.truth is None
    assert "truth not used" in source.warnings[0]


def test_kitti_count_of_times_must_agree(kitti: Path) -> None:
    (kitti / "times.txt").write_text("0\n0.1\n")
    with pytest.raises(InputError, match=r"times\.txt: 2 timestamps for 3 images"):
        open_source(kitti)


@pytest.mark.parametrize("text", ["P2: 1 2 3\n", "P0: 70 0 31 0\n", "P0: a b c d e f g h i j k l\n", "P0:" + " 0" * 12])
def test_kitti_malformed_calibration(kitti: Path, text: str) -> None:
    (kitti / "calib.txt").write_text(text)
    with pytest.raises(CalibrationError, match="needs a line 'P0:'"):
        open_source(kitti)


def test_kitti_without_calibration(kitti: Path) -> None:
    (kitti / "calib.txt").unlink()
    source = open_source(kitti)
    assert source.camera is None
    assert "calib.txt is missing" in source.warnings[0]
    with pytest.raises(InputError, match="cameras here: image_0, image_2"):
        open_source(kitti, SourceOptions(topic="image_3"))
