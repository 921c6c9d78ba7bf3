"""Metres from known lengths, markers and measured depth, on maps whose truth is known."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from metric_scene import S_MAP_WORLD, Walk, centres, curve, looking, steps, true_centres, walk
from synthetic import CAMERA

from vgslam.errors import ConfigError, InputError
from vgslam.geometry import se3
from vgslam.metric.fulfil import MetricRequest, fulfil, read_request
from vgslam.metric.measured import Scale, SessionView
from vgslam.metric.spec import DepthImages, parse_gravity, parse_scale
from vgslam.metric.tags import TagSighting, tag_edges
from vgslam.sources.depth_images import DepthImage, DepthOf, depth_of
from vgslam.sources.open import open_source
from vgslam.types import Array, Image

TRUE_M_PER_UNIT = 1.0 / S_MAP_WORLD.s
TAG_EDGE_M, TAG_CENTRE = 0.5, np.array([4.5, 4.0, 1.5])


def test_a_length_between_frames_scales_all_that_hangs_on_keyframes() -> None:
    w = walk(curve())
    at = true_centres(w)
    length = float(np.linalg.norm(at[12] - at[2]))
    [found] = fulfil(w.slam_map, read_request(f"frames:4,24={length}", None))
    assert found.metres_per_unit == pytest.approx(TRUE_M_PER_UNIT, rel=1e-9)
    np.testing.assert_allclose(steps(centres(w)), steps(at), rtol=1e-9)
    np.testing.assert_allclose(steps(w.slam_map.trajectory().T_world_cam[:, :3, 3]), steps(at), rtol=1e-9)
    host = w.slam_map.landmarks.host
    far = np.linalg.norm(w.slam_map.landmarks_world(np.arange(len(host))) - centres(w)[host], axis=1)
    np.testing.assert_allclose(far, np.linalg.norm(w.slam_map.landmarks.xyz_host, axis=1), rtol=1e-9)
    assert w.slam_map.world_of(0).is_metric
    assert w.slam_map.trajectory().is_metric
    assert not found.is_upright
    for (a, b), e in w.slam_map.edges.items():
        now = w.slam_map.keyframes[a].S_world_keyframe.inverse() @ w.slam_map.keyframes[b].S_world_keyframe
        np.testing.assert_allclose(now.matrix(), e.S_a_b.matrix(), atol=1e-9)


def test_a_length_between_points_takes_the_landmarks_that_the_pixels_show() -> None:
    w = walk(curve())
    m = w.slam_map
    pixels, ends = [], []
    for k in (3, 9):
        ids, px = m.observed[k]
        i = int(np.linalg.norm(px - [160, 120], axis=1).argmin())
        pixels.append(px[i] + 0.7)
        ends.append(S_MAP_WORLD.inverse().apply(m.landmarks_world(ids[i : i + 1]))[0])
    (u, v), (p, q) = pixels
    length = float(np.linalg.norm(ends[1] - ends[0]))
    [found] = fulfil(m, read_request(f"points:6:{u:.2f},{v:.2f};18:{p:.2f},{q:.2f}={length}", None))
    assert found.metres_per_unit == pytest.approx(TRUE_M_PER_UNIT, rel=1e-9)
    assert found.scale_sigma_percent is not None
    assert found.scale_sigma_percent >= 1.0


def test_pixels_are_those_of_the_frames_where_these_were_enlarged() -> None:
    w = walk(curve())
    m = w.slam_map
    frames = m.keyframes[0].camera.resized(CAMERA.width // 2, CAMERA.height // 2)
    for k in m.keyframes:
        k.camera = replace(k.camera, enlarged=2)
    shown, ends = [], []
    for k in (3, 9):
        T = se3.inverse(m.keyframes[k].S_world_keyframe.pose)
        ids, px = m.observed[k]
        i = int(np.linalg.norm(px - [200, 140], axis=1).argmin())
        ends.append(S_MAP_WORLD.inverse().apply(m.landmarks_world(ids[i : i + 1]))[0])
        shown.append(
            ",".join(f"{x:.2f}" for x in frames.project(se3.transform(T, m.landmarks_world(ids[i : i + 1])))[0])
        )
    length = float(np.linalg.norm(ends[1] - ends[0]))
    [found] = fulfil(m, read_request(f"points:6:{shown[0]};18:{shown[1]}={length}", None))
    assert found.metres_per_unit == pytest.approx(TRUE_M_PER_UNIT, rel=1e-9)
    outside = f"outside the image of frame 6 \\({frames.width}x{frames.height}\\)"
    with pytest.raises(InputError, match=outside):
        fulfil(m, read_request(f"points:6:{frames.width + 9},20;18:{shown[1]}={length}", None))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("frames:0,99=1", "no frame 99"), ("frames:0,3=1", "frame 3 has no pose"),
        ("points:0:2,2;18:160,120=1", "no sure map point"), ("points:0:900,2;18:160,120=1", "outside the image"),
        ("aruco:4X4_50:0.16", "no marker of 4X4_50"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_and_nothing_changes(spec: str, said: str) -> None:
    w = walk(curve())
    for k in range(len(w.slam_map.keyframes)):  # nothing is seen near the corner
        ids, px = w.slam_map.observed[k]
        w.slam_map.unobserve(k, ids[(px < 20).all(axis=1)])
    before = centres(w).copy()
    with pytest.raises(InputError, match=said):
        fulfil(w.slam_map, read_request(spec, None))
    np.testing.assert_array_equal(centres(w), before)
    assert not w.slam_map.worlds


def test_frames_that_are_hardly_apart_tell_no_scale() -> None:
    w = walk(np.stack([curve()[0]] * 4))
    with pytest.raises(InputError, match="too near"):
        fulfil(w.slam_map, read_request("frames:0,6=1", None))


@pytest.mark.parametrize(
    "text",
    ["", "metres", "frames:1,2", "frames:1,1=2", "frames:1,2=-3", "frames:1,2=x", "aruco:4X4_50", "aruco:X:0",
     "positions:", "points:1:2,3=1", "depth:x=0", "depthh"],
)  # fmt: skip
def test_what_is_not_understood_is_refused_before_the_run(text: str) -> None:
    with pytest.raises(ConfigError, match="scale-from"):
        parse_scale(text)


def test_options_that_miss_their_other_half_are_refused(tmp_path: Path) -> None:
    for text in ("down", "accelerometer:", "positions:x"):
        with pytest.raises(ConfigError, match="upright, positions or accelerometer"):
            parse_gravity(text)
    with pytest.raises(ConfigError, match="needs --scale-from positions"):
        read_request(None, "positions")
    with pytest.raises(ConfigError, match="OpenCV has"):
        read_request("aruco:9X9_5:0.1", None)
    with pytest.raises(ConfigError, match="depth:FOLDER"):
        read_request("depth", None)
    with pytest.raises(InputError, match="cannot be read"):
        read_request(f"positions:{tmp_path / 'none.csv'}", None)


def _tag_corners() -> Array:
    """Corners (4,3) in metres of a marker that hangs upright on a wall."""
    right, down = np.array([0.6, -0.8, 0.0]), np.array([0.0, 0.0, -1.0])
    half, signs = TAG_EDGE_M / 2, ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([TAG_CENTRE + half * (i * right + j * down) for i, j in signs])


def _tag_view(T_world_cam: Array, bits: Image) -> Image:
    """A marker that hangs upright on a wall, on white, as a camera sees it (4 times oversampled)."""
    n = len(bits)
    px = CAMERA.project(se3.transform(se3.inverse(T_world_cam), _tag_corners()))
    big = 4
    source = np.array([[-0.5, -0.5], [n - 0.5, -0.5], [n - 0.5, n - 0.5], [-0.5, n - 0.5]], np.float32)
    H = cv2.getPerspectiveTransform(source, ((px + 0.5) * big - 0.5).astype(np.float32))
    size = (CAMERA.width * big, CAMERA.height * big)
    large = cv2.warpPerspective(bits, H, size, flags=cv2.INTER_NEAREST, borderValue=255)
    small = cv2.resize(large, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)


def _tag_bits(name: int, number: int) -> Image:
    return np.asarray(cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(name), number, 200), np.uint8)


def _facing_the_tag(n: int = 8) -> Array:
    """Cameras (n,4,4) that walk past the marker and look at it."""
    at = np.linspace((3.0, 1.0, 1.2), (1.0, 3.2, 1.8), n)
    yaw = np.degrees(np.arctan2(*(TAG_CENTRE[:2] - at[:, :2]).T[::-1]))
    return np.stack([looking(y, c) for y, c in zip(yaw, at)])


@pytest.mark.parametrize(
    ("spec", "name"),
    [("aruco:4X4_50", cv2.aruco.DICT_4X4_50), ("aruco:DICT_APRILTAG_36h11", cv2.aruco.DICT_APRILTAG_36h11)],
)
def test_a_marker_of_known_size_gives_the_scale(spec: str, name: int) -> None:
    bits = _tag_bits(name, 7)
    w = walk(_facing_the_tag(), image=lambda T: _tag_view(T, bits))
    [found] = fulfil(w.slam_map, read_request(f"{spec}:{TAG_EDGE_M}", None))
    assert found.metres_per_unit == pytest.approx(TRUE_M_PER_UNIT, rel=0.02)
    assert found.scale_sigma_percent is not None
    assert found.scale_sigma_percent < 2.0
    assert abs(found.metres_per_unit / TRUE_M_PER_UNIT - 1.0) < 0.03 * found.scale_sigma_percent


def _exact_sightings(T_world_cam: Array) -> tuple[SessionView, list[TagSighting]]:
    w = walk(T_world_cam)
    seen = [
        TagSighting(7, k, CAMERA.project(se3.transform(se3.inverse(T), _tag_corners())))
        for k, T in zip(w.slam_map.keyframes, T_world_cam)
    ]
    return SessionView(w.slam_map), seen


def test_a_marker_needs_two_directions_even_if_its_corners_are_exact() -> None:
    T = np.stack([_facing_the_tag()[0]] * 4)
    T[:, 2, 3] += 0.015 * np.arange(4)  # 4 cm: less than a degree
    assert tag_edges(*_exact_sightings(T)) is None
    edges = tag_edges(*_exact_sightings(_facing_the_tag()))
    assert edges is not None
    np.testing.assert_allclose(edges, TAG_EDGE_M * S_MAP_WORLD.s, rtol=1e-6)


def test_a_view_that_contradicts_the_others_is_left_out_and_two_markers_of_one_number_give_none() -> None:
    view, seen = _exact_sightings(_facing_the_tag())
    wrong = replace(seen[2], corners=seen[2].corners + 25.0)
    edges = tag_edges(view, [*seen[:2], wrong, *seen[3:]])
    assert edges is not None
    np.testing.assert_allclose(edges, TAG_EDGE_M * S_MAP_WORLD.s, rtol=1e-6)
    assert tag_edges(view, [*seen, *(replace(s, corners=s.corners + 25.0) for s in seen)]) is None


def test_a_marker_seen_from_one_place_gives_no_scale() -> None:
    bits = _tag_bits(cv2.aruco.DICT_4X4_50, 7)
    T = np.stack([_facing_the_tag()[0]] * 4)
    T[:, 2, 3] += 0.015 * np.arange(4)  # 4 cm: less than a degree
    w = walk(T, image=lambda T: _tag_view(T, bits))
    with pytest.raises(InputError, match="none from two directions"):
        fulfil(w.slam_map, read_request(f"aruco:4X4_50:{TAG_EDGE_M}", None))


def test_depth_of_another_camera_is_looked_up_where_that_one_sees_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"frame-{i:06d}.color.png"), np.full((480, 640), 90, np.uint8))
    raw = np.full((480, 640), 1500, np.uint16)
    raw[0, 0] = 65535
    for i in (0, 2, 7):
        cv2.imwrite(str(tmp_path / "depth" / f"frame-{i:06d}.depth.png"), raw)
    (tmp_path / "times.txt").write_text("0.0\n0.1\n0.2\n")
    (tmp_path / "calib.json").write_text('{"width": 640, "height": 480, "fx": 525, "fy": 525, "cx": 320, "cy": 240}')
    found = depth_of(open_source(tmp_path))
    assert [i.time_s for i in found.images] == [0.0, 0.2]
    depth = found.read_m(found.images[0])
    assert (depth[0, 0], depth[9, 9]) == (0.0, 1.5)
    ray = np.array([[0.2, -0.1, 1.0]])
    np.testing.assert_allclose(found.pixels(ray, depth.shape), [[320 + 585 * 0.2, 240 - 585 * 0.1]])
    own = '{"width": 640, "height": 480, "fx": 400, "fy": 400, "cx": 320, "cy": 240}'
    (tmp_path / "depth" / "calib.json").write_text(own)
    np.testing.assert_allclose(depth_of(open_source(tmp_path)).pixels(ray, depth.shape), [[400.0, 200.0]])
    with pytest.raises(InputError, match="no depth image belongs"):
        depth_of(open_source(tmp_path / "images"))


def test_depth_txt_of_a_tum_folder_is_matched_in_time(tmp_path: Path) -> None:
    for kind in ("rgb", "depth"):
        (tmp_path / kind).mkdir()
        rows = []
        for i in range(3):
            t = 100.0 + 0.1 * i + (0.01 if kind == "depth" else 0.0)
            value = np.full((48, 64), 5000, np.uint16) if kind == "depth" else np.full((48, 64), 9, np.uint8)
            cv2.imwrite(str(tmp_path / kind / f"{t:.3f}.png"), value)
            rows.append(f"{t:.3f} {kind}/{t:.3f}.png")
        (tmp_path / f"{kind}.txt").write_text("\n".join(rows[: 2 if kind == "depth" else 3]) + "\n")
    (tmp_path / "calibration.txt").write_text("50 50 32 24\n")
    found = depth_of(open_source(tmp_path))
    assert [i.time_s for i in found.images] == [100.0, 100.1]
    assert found.read_m(found.images[1])[3, 3] == 1.0
    assert depth_of(open_source(tmp_path), 1000.0).read_m(found.images[1])[3, 3] == 5.0


class _Depths(DepthOf):
    """Depth images that are in memory."""

    def __init__(self, maps: dict[float, np.ndarray]) -> None:
        super().__init__([DepthImage(t, Path()) for t in maps], 1000.0, None, CAMERA)
        object.__setattr__(self, "maps", maps)

    def read_m(self, image: DepthImage) -> np.ndarray:
        return self.maps[image.time_s]  # type: ignore[attr-defined]


def _measured(w: Walk, k: int, rng: np.random.Generator, n_wrong: int = 0) -> np.ndarray:
    """A depth image with the truth around each observed landmark, apart from the first n_wrong."""
    image = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    ids, px = w.slam_map.observed[k]
    local = S_MAP_WORLD.inverse().apply(w.slam_map.landmarks_world(ids))
    z = se3.transform(se3.inverse(w.T_world_cam[k]), local)[:, 2] * (1 + 0.01 * rng.normal(size=len(ids)))
    z[:n_wrong] *= 0.5
    for (u, v), depth in zip(np.round(px).astype(int), z):
        image[max(0, v - 1) : v + 2, max(0, u - 1) : u + 2] = depth
    return image


def test_measured_depth_gives_the_scale_though_some_is_wrong() -> None:
    w, rng = walk(curve()), np.random.default_rng(1)
    maps = {0.5 * k: _measured(w, k, rng, n_wrong=4) for k in range(0, 16, 3)}
    request = MetricRequest(DepthImages(None, None), None, None, _Depths(maps))
    [found] = fulfil(w.slam_map, request)
    assert found.metres_per_unit == pytest.approx(TRUE_M_PER_UNIT, rel=0.01)
    assert found.n_measurements == 6


def test_where_the_scale_drifts_the_whole_path_gets_the_right_length_and_the_deviation_says_so() -> None:
    cameras = curve(32)
    w = walk(cameras, scale_drift=1.4)
    ids = [0, 2, 4, 6, 8, 20, 31]  # most are early
    maps = {}
    for k in ids:  # what is measured follows the drift: the map is too large by the scale of each keyframe
        S, (seen, px) = w.slam_map.keyframes[k].S_world_keyframe, w.slam_map.observed[k]
        z = se3.transform(se3.inverse(S.pose), w.slam_map.landmarks_world(seen))[:, 2] / S.s
        image = np.zeros((CAMERA.height, CAMERA.width), np.float32)
        for (u, v), depth in zip(np.round(px).astype(int), z):
            image[max(0, v - 1) : v + 2, max(0, u - 1) : u + 2] = depth
        maps[0.5 * k] = image
    request = MetricRequest(DepthImages(None, None), None, None, _Depths(maps))
    [found] = fulfil(w.slam_map, request)
    true_length, length = steps(true_centres(w)).sum(), steps(centres(w)).sum()
    assert found.scale_sigma_percent is not None
    assert found.scale_sigma_percent > 8.0
    assert length == pytest.approx(true_length, rel=0.06)
    assert abs(length / true_length - 1) < 0.02 * found.scale_sigma_percent
    assert any("drifts by" in line for line in found.lines())


def test_depth_without_its_image_is_said() -> None:
    w = walk(curve())
    request = MetricRequest(DepthImages(None, None), None, None, _Depths({99.0: np.zeros((240, 320), np.float32)}))
    with pytest.raises(InputError, match="0 of 16 keyframes have a depth image"):
        fulfil(w.slam_map, request)


def test_a_component_that_is_not_measured_stays_in_map_units() -> None:
    w = walk(curve())
    for k in range(8, 16):
        w.slam_map.keyframes[k].component_id = 1
    before = centres(w)[8:].copy()
    first, second = fulfil(w.slam_map, read_request("frames:0,10=1.0", None))
    assert (first.is_metric, second.is_metric) == (True, False)
    assert any("stays in map units" in line for line in second.lines())
    np.testing.assert_array_equal(centres(w)[8:], before)
    assert not w.slam_map.keyframe_trajectory().is_metric


def test_the_deviation_of_a_scale_falls_with_the_number_of_measurements() -> None:
    rng = np.random.default_rng(3)
    for n in (25, 400):
        found = Scale.of(2.0 * np.exp(0.1 * rng.normal(size=n)), "x")
        assert found.rel_sigma == pytest.approx(1.25 * 0.1 / np.sqrt(n), rel=0.5)
        assert abs(np.log(found.metres_per_unit / 2.0)) < 3 * found.rel_sigma
    with pytest.raises(ValueError, match="positive"):
        Scale.of(np.array([1.0, -1.0]), "x")
