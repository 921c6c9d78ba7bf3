"""The pinhole: pixel centres at whole numbers, projection, resizing, and what is refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.geometry.camera import Camera

cameras = st.builds(
    Camera,
    fx=st.floats(50, 3000), fy=st.floats(50, 3000), cx=st.floats(100, 540), cy=st.floats(100, 380),
    width=st.just(640), height=st.just(480),
)  # fmt: skip
pixels = arrays(np.float64, (6, 2), elements=st.floats(-100, 900))
depths = arrays(np.float64, 6, elements=st.floats(0.01, 1000))
CAMERA = Camera(500.0, 400.0, 320.0, 240.0, 640, 480)


@given(cameras, pixels, depths)
def test_projection_inverts_rays(camera: Camera, p: np.ndarray, z: np.ndarray) -> None:
    np.testing.assert_allclose(camera.project(camera.rays(p) * z[:, None]), p, atol=1e-6)


@given(cameras, arrays(np.float64, (6, 2), elements=st.floats(-50, 50)), depths)
def test_projection_is_the_intrinsic_matrix(camera: Camera, xy: np.ndarray, z: np.ndarray) -> None:
    points = np.c_[xy, z]
    homogeneous = points @ camera.K.T
    np.testing.assert_allclose(camera.project(points), homogeneous[:, :2] / homogeneous[:, 2:], rtol=1e-9, atol=1e-6)


def test_axes_by_hand() -> None:
    """x to the right, y down, z forward; the depth is along the axis."""
    np.testing.assert_allclose(
        CAMERA.project(np.array([[1.0, 0, 2], [0, 1, 2], [0, 0, 7]])), [[570, 240], [320, 440], [320, 240]]
    )
    np.testing.assert_allclose(CAMERA.rays([[820.0, 640.0]]), [[1, 1, 1]])
    np.testing.assert_array_equal(CAMERA.K, [[500, 0, 320], [0, 400, 240], [0, 0, 1]])


@given(cameras, st.integers(16, 2000), st.integers(16, 2000), pixels)
def test_resizing_moves_pixel_areas_in_proportion(camera: Camera, width: int, height: int, p: np.ndarray) -> None:
    """The ray through a place of the image stays the same; pixel (0, 0) covers -0.5 .. 0.5."""
    resized = camera.resized(width, height)
    moved = (p + 0.5) * [width / 640, height / 480] - 0.5
    np.testing.assert_allclose(resized.rays(moved), camera.rays(p), atol=1e-9)
    np.testing.assert_allclose(resized.fov_deg, camera.fov_deg)
    back = resized.resized(640, 480)
    np.testing.assert_allclose([back.fx, back.fy, back.cx, back.cy], [camera.fx, camera.fy, camera.cx, camera.cy])


def test_resizing_agrees_with_opencv_area_averaging() -> None:
    """A bright pixel block averaged 2:1 lands where the resized camera projects its centre."""
    image = np.zeros((480, 640), np.float32)
    image[200:202, 100:102] = 1.0  # centre at (100.5, 200.5)
    small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    v, u = np.argwhere(small == 1.0)[0]
    point = CAMERA.rays([[100.5, 200.5]])
    np.testing.assert_allclose(CAMERA.resized(320, 240).project(point), [[u, v]])


def test_field_of_view_covers_whole_pixels() -> None:
    camera = Camera.from_fov(640, 480, 90.0)
    assert camera.fx == pytest.approx(320.0)
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.fov_deg[0] == pytest.approx(90.0)
    assert camera.fov_deg[1] == pytest.approx(2 * np.degrees(np.arctan(240 / 320)))
    # The left edge of the leftmost pixel is 45 degrees off the axis.
    np.testing.assert_allclose(camera.rays([[-0.5, 239.5]]), [[-1, 0, 1]])


def test_undistorted_drops_only_the_distortion() -> None:
    lens = replace(CAMERA, distortion=(0.1, 0.0, 0.0, 0.0), is_fisheye=True)
    assert lens.is_distorted
    assert not replace(CAMERA, distortion=(0.0, 0.0, 0.0, 0.0)).is_distorted
    assert lens.undistorted() == CAMERA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx": float("nan")}, "fx is not a finite"),
        ({"fy": float("inf")}, "fy is not a finite"),
        ({"cx": float("nan")}, "cx is not a finite"),
        ({"fx": -1.0}, "fx must be positive"),
        ({"fy": 0.0}, "fy must be positive"),
        ({"width": 0}, "width must be positive"),
        ({"height": -5}, "height must be positive"),
        ({"cx": 3000.0}, "far outside"),
        ({"cy": -500.0}, "far outside"),
        ({"cx": -640.0}, "far outside"),
        ({"cx": 1280.0}, "far outside"),
        ({"cy": -480.0}, "far outside"),
        ({"cy": 960.0}, "far outside"),
        ({"distortion": (0.1, float("nan"))}, "distortion holds"),
    ],
)
def test_what_is_no_camera_is_refused_naming_the_field(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CAMERA, **changes)


def test_cells_by_hand() -> None:
    """8 columns and 6 rows of 80 px each: the first ends at 79.5, half a pixel beyond the centre of its last one."""
    p = np.array([[0.0, 0.0], [79.4, 79.4], [79.6, 79.6], [400.0, 250.0], [-50.0, 900.0], [639.4, -3.0]])
    rows, cols = CAMERA.cell_at(p, (6, 8))
    assert cols.tolist() == [0, 0, 1, 5, 0, 7]
    assert rows.tolist() == [0, 0, 1, 3, 5, 0]
