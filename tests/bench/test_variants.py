"""Changed recordings: the camera and the truth follow the images, and every run is on record."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.variants import BenchVariantsArgs, run_bench_variants
from bench.varied import BLACK, MISSING, VARIANTS, varied_truth, write_variant
from vgslam.errors import ConfigError, InputError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.sources import open_source
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Trajectory

CAMERA = Camera(90.0, 80.0, 41.0, 28.0, 96, 64)
N = 90
TIMES = 0.1 * np.arange(N)


def spot(at: np.ndarray, camera: Camera = CAMERA) -> np.ndarray:
    """An image (RGB) that is dark but for a soft spot at pixel (u, v)."""
    v, u = np.indices((camera.height, camera.width))
    grey = 200.0 * np.exp(-((u - at[0]) ** 2 + (v - at[1]) ** 2) / 8.0)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def place_of(image: np.ndarray) -> np.ndarray:
    weight = image.max(axis=2).astype(np.float64)
    weight[weight < 30] = 0.0
    v, u = np.indices(weight.shape)
    return np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()


PLACED = ["as it is", "black bars", "half the size", "twice the size", "cropped", "turned by 90 degrees"]


@pytest.mark.parametrize("name", [*PLACED, "upside down"])
def test_a_point_of_the_world_is_where_the_changed_camera_sees_it(name: str) -> None:
    variant = VARIANTS[name]
    T_world_cam = se3.from_rt(se3.so3_exp(np.array([0.2, -0.4, 0.3])), np.array([1.0, 2.0, 3.0]))
    point = se3.transform(T_world_cam, np.array([[0.3, 0.15, 2.0]]))
    seen = CAMERA.project(se3.transform(se3.inverse(T_world_cam), point))[0]
    changed = variant.look(spot(seen), 0, np.random.default_rng(0))
    T = varied_truth(variant, Trajectory(np.zeros(1), T_world_cam[None]), np.zeros(1)).T_world_cam[0]
    camera = variant.camera(CAMERA)
    assert changed.shape == (camera.height, camera.width, 3)
    expected = camera.project(se3.transform(se3.inverse(T), point))[0]
    np.testing.assert_allclose(place_of(changed), expected, atol=0.1)


def test_a_mirrored_camera_moves_through_a_mirrored_world() -> None:
    variant = VARIANTS["mirrored"]
    turn = se3.so3_exp(np.array([0.0, 0.3, 0.0]))
    T = varied_truth(variant, Trajectory(np.zeros(1), se3.from_rt(turn, np.array([1.0, 2.0, 3.0]))[None]), np.zeros(1))
    np.testing.assert_allclose(T.T_world_cam[0], se3.from_rt(turn.T, np.array([-1.0, 2.0, 3.0])), atol=1e-12)
    point, mirrored = np.array([[0.3, 0.15, 2.0]]), np.array([[-0.3, 0.15, 2.0]])
    changed = variant.look(spot(CAMERA.project(point)[0]), 0, np.random.default_rng(0))
    np.testing.assert_allclose(place_of(changed), variant.camera(CAMERA).project(mirrored)[0], atol=0.1)


def test_a_barrel_draws_points_inwards_and_its_calibration_says_so(tmp_path: Path) -> None:
    point = np.array([[0.3, 0.2, 1.0]])
    write_variant(VARIANTS["barrel"], [spot(CAMERA.project(point)[0])], np.zeros(1), CAMERA, tmp_path / "copy")
    told = json.loads((tmp_path / "copy" / "calib.json").read_text())
    bent = 1.0 + told["distortion"][0] * (0.3**2 + 0.2**2)  # k1 of OpenCV's model; the rest is 0
    expected = [told["cx"] + told["fx"] * bent * 0.3, told["cy"] + told["fy"] * bent * 0.2]
    seen = cv2.cvtColor(cv2.imread(str(tmp_path / "copy" / "images" / "000000.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(place_of(seen), expected, atol=0.15)
    assert told["distortion"][0] < 0.0
    assert told["fx"] > CAMERA.fx


def test_what_is_told_of_a_camera_may_be_wrong_or_nothing(tmp_path: Path) -> None:
    images = [spot(np.array([20.0, 30.0]))]
    write_variant(VARIANTS["no calibration"], images, np.zeros(1), CAMERA, tmp_path / "nothing")
    assert not (tmp_path / "nothing" / "calib.json").exists()
    write_variant(VARIANTS["focal length 10 % off"], images, np.zeros(1), CAMERA, tmp_path / "wrong")
    assert json.loads((tmp_path / "wrong" / "calib.json").read_text())["fx"] == pytest.approx(99.0)


def test_the_truth_follows_what_is_shown() -> None:
    def x_of(name: str) -> np.ndarray:
        T_world_cam = np.tile(np.eye(4), (N, 1, 1))
        T_world_cam[:, 0, 3] = np.arange(N)
        varied = varied_truth(VARIANTS[name], Trajectory(TIMES, T_world_cam), TIMES)
        assert varied.timestamps_s[0] == 0.0
        return varied.T_world_cam[:, 0, 3]

    np.testing.assert_array_equal(x_of("backwards"), np.arange(N)[::-1])
    np.testing.assert_array_equal(x_of("stands first"), [0] * 40 + list(range(50)))
    np.testing.assert_array_equal(x_of("stands in the middle"), [*range(45), *[45] * 40, *range(45, 50)])
    np.testing.assert_array_equal(x_of("stands last")[-42:], [48, *[49] * 41])
    np.testing.assert_array_equal(x_of("frozen")[36:52], [36, 37, 38, 39, *[39] * 10, 50, 51])


def test_images_are_missing_repeated_and_black() -> None:
    missing = [VARIANTS["frames missing"].shows(i, N) for i in range(N)]
    assert [i for i, shown in enumerate(missing) if shown is None] == list(range(35, 35 + MISSING))
    repeated = [VARIANTS["frames repeated"].shows(i, N) for i in range(7)]
    assert repeated == [0, 1, 1, 3, 4, 4, 6]
    second = [VARIANTS["every 2nd"].shows(i, 6) for i in range(6)]
    assert second == [0, None, 2, None, 4, None]
    bursts = [VARIANTS["bursts missing"].shows(i, 200) for i in range(200)]
    gaps = [*range(30, 35), *range(60, 68), *range(90, 101), *range(120, 133), *range(150, 165)]
    assert [i for i, shown in enumerate(bursts) if shown is None] == gaps
    rate = [i for i in range(90) if VARIANTS["rate changes"].shows(i, 90) is not None]
    assert rate == [*range(25), *range(26, 50, 2), *range(51, 75, 3), *range(75, 90)]
    covered = [VARIANTS["lens covered"].shows(i, N) for i in range(N)]
    assert [i for i, shown in enumerate(covered) if shown == BLACK] == list(range(30, 60))


def test_the_copy_is_a_sequence_with_the_clock_of_the_recording(tmp_path: Path) -> None:
    images = [spot(np.array([20.0 + 0.5 * i, 30.0])) for i in range(N)]
    write_variant(VARIANTS["frames missing"], images, TIMES, CAMERA, tmp_path / "copy")
    source = open_source(tmp_path / "copy")
    frames = list(source)
    assert source.camera == CAMERA
    np.testing.assert_allclose([f.timestamp_s for f in frames], np.delete(TIMES, np.arange(35, 55)))
    np.testing.assert_array_equal(frames[40].image, images[60])


def test_a_row_for_every_variant_and_copies_are_removed(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s")
    program = (sys.executable, "-c", "import sys; sys.exit('error: nothing works')")
    args = BenchVariantsArgs((folder,), ("noise", "half the size"), frames=5, out=tmp_path / "out")
    assert run_bench_variants(args, program) == 1
    told = json.loads((tmp_path / "out" / "variants.json").read_text())
    assert [(r["sequence"], r["variant"]) for r in told["runs"]] == [("s", "noise"), ("s", "half the size")]
    assert all("nothing works" in r["run"]["failure"] for r in told["runs"])
    assert not list((tmp_path / "out").glob("*/*/copy"))


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s")
    with pytest.raises(ConfigError, match="no variant 'fog'"):
        run_bench_variants(BenchVariantsArgs((folder,), ("fog",), out=tmp_path / "out"))
    with pytest.raises(InputError, match="no such sequence"):
        run_bench_variants(BenchVariantsArgs((tmp_path / "none",), out=tmp_path / "out"))
    (folder / "calib.json").unlink()
    with pytest.raises(InputError, match="no calibration"):
        run_bench_variants(BenchVariantsArgs((folder,), out=tmp_path / "out"))


def sequence(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for i in range(6):
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), spot(np.array([30.0 + i, 30.0])))
    (folder / "times.txt").write_text("".join(f"{0.1 * i:.6f}\n" for i in range(6)))
    (folder / "calib.json").write_text('{"width": 96, "height": 64, "fx": 90, "fy": 80, "cx": 41, "cy": 28}')
    write_trajectory(folder / "groundtruth.txt", Trajectory(0.1 * np.arange(6), np.tile(np.eye(4), (6, 1, 1))))
    return folder
