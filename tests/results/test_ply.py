import numpy as np
import pytest

from vgslam.errors import OutputError
from vgslam.results.ply import write_ply


def parse(path):
    data = path.read_bytes()
    header, body = data.split(b"end_header\n", 1)
    lines = header.decode("ascii").splitlines()
    n = int(next(line for line in lines if line.startswith("element vertex")).split()[2])
    properties = [line.split()[1:] for line in lines if line.startswith("property")]
    types = {"float": "<f4", "uchar": "u1"}
    return lines, np.frombuffer(body, np.dtype([(name, types[kind]) for kind, name in properties]), n), len(body)


def test_points_and_colors_come_back(tmp_path):
    rng = np.random.default_rng(0)
    points, colors = rng.normal(size=(100, 3)), rng.integers(0, 256, (100, 3), dtype=np.uint8)
    points[7, 1], points[50, 0] = np.nan, np.inf
    assert write_ply(tmp_path / "cloud.ply", points, colors) == 98
    lines, vertices, n_bytes = parse(tmp_path / "cloud.ply")
    keep = np.delete(np.arange(100), [7, 50])
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert n_bytes == 98 * 15
    assert np.array_equal(np.stack([vertices[k] for k in "xyz"], 1), points[keep].astype(np.float32))
    assert np.array_equal(np.stack([vertices[k] for k in ("red", "green", "blue")], 1), colors[keep])


def test_opencv_reads_it(tmp_path):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "loadPointCloud"):
        pytest.skip("this OpenCV reads no point clouds")
    points = np.arange(30.0).reshape(10, 3)
    write_ply(tmp_path / "cloud.ply", points, np.full((10, 3), 200, np.uint8))
    assert np.allclose(np.squeeze(cv2.loadPointCloud(str(tmp_path / "cloud.ply"))[0]), points)


def test_an_empty_cloud_is_valid(tmp_path):
    assert write_ply(tmp_path / "cloud.ply", np.zeros((0, 3)), np.zeros((0, 3), np.uint8)) == 0
    assert parse(tmp_path / "cloud.ply")[2] == 0


def test_wrong_shapes_and_places(tmp_path):
    with pytest.raises(ValueError, match="must both be"):
        write_ply(tmp_path / "a.ply", np.zeros((4, 3)), np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        write_ply(tmp_path / "a.ply", np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(OutputError, match="cannot be written"):
        write_ply(tmp_path / "no" / "a.ply", np.zeros((4, 3)), np.zeros((4, 3), np.uint8))
