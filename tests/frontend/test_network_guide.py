"""The network beside the geometry, with a stand-in backbone that knows the rendered truth in a unit of its own."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room

from vgslam.errors import InputError
from vgslam.frontend.guide import RANDOM_NOTE, VggtUse, notes_on
from vgslam.frontend.network_guide import NetworkGuide, confidence_from_network
from vgslam.geometry import se3
from vgslam.map.enlarged import enlarged
from vgslam.network.backbone import BackboneSpec, SceneGeometry
from vgslam.network.licence import APACHE_2
from vgslam.network.preprocess import NetworkImages, ResizeMode, preprocess
from vgslam.network.vggt import Head
from vgslam.network.weights_info import WeightsInfo
from vgslam.slam import Slam
from vgslam.types import Array, Camera, Frame, Image, MadeBy, WindowInput

NOTHING = VggtUse(False, False, False)
ALL = replace(VggtUse(), dense_depth=True)
UNIT = 3.7  # the stand-in's lengths per true length


@dataclass(frozen=True)
class Film:
    """Rendered frames (320 x 240) with true depth and poses."""

    images: list[Image]
    depth: list[np.ndarray]
    T_world_cam: Array

    def index(self, image: Image) -> int:
        size = (image.shape[1], image.shape[0])
        return next(i for i, x in enumerate(self.images) if np.array_equal(enlarged(x, size), image))


def film(poses: Sequence[Array]) -> Film:
    views = [render(room(), CAMERA, T) for T in poses]
    return Film([v[0] for v in views], [np.asarray(v[1]) for v in views], np.stack(poses))


class TrueBackbone:
    """Implements `Backbone`: recognises the film's images and returns their truth, `distort`ed, at its own size."""

    def __init__(self, truth: Film, most: int = 100) -> None:
        self.spec = BackboneSpec("true", 14, 1, frozenset({Head.POSE, Head.DEPTH}), 8)
        self.weights = WeightsInfo("true", "0123456789abcdef", APACHE_2, 1)
        self.truth, self.most = truth, most
        self.seen: list[list[int]] = []
        self.confidence = 20.0
        self.change: Callable[[SceneGeometry], SceneGeometry] = lambda scene: scene
        self.mode = ResizeMode.CROP

    def prepare(self, images: Sequence[Image]) -> NetworkImages:
        self._images = list(images)
        return preprocess(images, self.mode, 224, 14)

    def max_frames(self, height_px: int, width_px: int) -> int:
        return self.most

    def encode(self, images: NetworkImages, want: Collection[Head], mask: object = None) -> list[int]:
        frames = [self.truth.index(image) for image in self._images]
        self.seen.append(frames)
        return frames

    def decode(
        self, tokens: list[int], images: NetworkImages, want: Collection[Head], queries: object = None,
        known_cameras: Sequence[Camera] | None = None,
    ) -> SceneGeometry:  # fmt: skip
        descriptors = np.stack([np.eye(8, dtype=np.float32)[i % 8] for i in tokens])
        if Head.DEPTH not in want:
            return SceneGeometry(descriptors, images.maps)
        h, w = images.size
        grid = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1)
        depth = []
        for i, pixel_map in zip(tokens, images.maps, strict=True):
            at = pixel_map.to_source(grid) * (CAMERA.width / self._images[0].shape[1])
            u = np.clip(np.rint(at[..., 0]).astype(int), 0, CAMERA.width - 1)
            v = np.clip(np.rint(at[..., 1]).astype(int), 0, CAMERA.height - 1)
            depth.append(UNIT * self.truth.depth[i][v, u])
        T = se3.inverse(self.truth.T_world_cam[tokens])
        T[:, :3, 3] *= UNIT
        stack = np.stack(depth).astype(np.float32)
        scene = SceneGeometry(
            descriptors, images.maps, T, depth=stack, depth_confidence=np.full_like(stack, self.confidence)
        )
        return self.change(scene)


def window(truth: Film, frames: Sequence[int]) -> WindowInput:
    return WindowInput(np.array(frames), [truth.images[i] for i in frames], CAMERA)


def run(truth: Film, use: VggtUse, n: int | None = None) -> tuple[Slam, TrueBackbone]:
    backbone = TrueBackbone(truth)
    slam = Slam(CAMERA, guide=NetworkGuide(backbone, use))
    for i, image in enumerate(truth.images[:n]):
        slam.process(Frame(i, i / 30, image))
    return slam, backbone


def scale_at(slam: Slam, truth: Film, k: int) -> float:
    """Median ratio of the map's landmark depths in keyframe k to the true ones."""
    m = slam.map
    keyframe = m.keyframes[k]
    ids, camera = m.observed[k].ids, keyframe.camera
    px = camera.of_frames.project(camera.rays(m.observed[k].pixels)).round().astype(int)
    z = keyframe.S_world_keyframe.inverse().apply(m.landmarks_world(ids))[:, 2]
    true = truth.depth[keyframe.frame_id][px[:, 1], px[:, 0]]
    return float(np.median(z / true))


@pytest.fixture(scope="module")
def walk() -> Film:
    return film([pose((0, -0.4 * i, 0.2 * i), (0.09 * i, 0.01 * i, 0)) for i in range(24)])


@pytest.fixture(scope="module")
def guided_walk(walk: Film) -> Slam:
    slam = run(walk, ALL)[0]
    slam.finish()
    return slam


def test_a_window_in_its_own_gauge(walk: Film) -> None:
    backbone = TrueBackbone(walk)
    found = NetworkGuide(backbone).predict(window(walk, [3, 9, 15]))
    assert found is not None
    np.testing.assert_allclose(found.T_window_cam[0], np.eye(4), atol=1e-12)
    assert np.median(found.depth[found.depth > 0]) == pytest.approx(1.0, rel=1e-6)
    true = se3.inverse(walk.T_world_cam[3]) @ walk.T_world_cam[[3, 9, 15]]
    true[:, :3, 3] *= UNIT / found.raw_scale
    np.testing.assert_allclose(found.T_window_cam, true, atol=1e-9)
    assert (found.made_by, found.is_metric) == (MadeBy.NETWORK, False)
    h, w = found.depth.shape[1:]
    assert found.cameras == [CAMERA.resized(w, h)] * 3
    np.testing.assert_allclose(found.confidence, 1 - 1 / 20.0, atol=1e-6)


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_depth_lies_where_the_pixels_are(walk: Film, mode: ResizeMode) -> None:
    """Every grid cell holds the depth of the frame's pixel at its centre, whatever the network's own layout."""
    backbone = TrueBackbone(walk)
    backbone.mode = mode
    found = NetworkGuide(backbone).predict(window(walk, [0, 5]))
    assert found is not None
    h, w = found.depth.shape[1:]
    u = ((np.arange(w) + 0.5) * CAMERA.width / w).astype(int)
    v = ((np.arange(h) + 0.5) * CAMERA.height / h).astype(int)
    true = walk.depth[5][np.ix_(v, u)] * UNIT / found.raw_scale
    ratio = found.depth[1] / true
    assert (found.depth[1] > 0).all()
    assert np.median(np.abs(ratio - 1)) < 0.005
    assert np.mean(np.abs(ratio - 1) < 0.03) > 0.95


def test_rows_that_the_network_does_not_see_are_unknown() -> None:
    tall = Camera.from_fov(60, 120, 50.0)
    image = np.random.default_rng(0).integers(0, 255, (120, 60, 3), np.uint8)
    truth = Film([image], [np.full((CAMERA.height, CAMERA.width), 2.0)], np.eye(4)[None])
    found = NetworkGuide(TrueBackbone(truth)).predict(WindowInput(np.array([0]), [image], tall))
    assert found is not None
    h = found.depth.shape[1]
    assert (found.depth[0, : h // 5] == 0).all()
    assert (found.confidence[0, : h // 5] == 0).all()
    assert (found.depth[0, 2 * h // 5 : 3 * h // 5] > 0).all()


def test_confidence_and_deviation() -> None:
    c = np.array([1.0, 2.0, 4.0, 1e9, np.nan, np.inf], np.float32)
    np.testing.assert_allclose(confidence_from_network(c)[:4], [0, 0.5, 0.75, 1], atol=1e-6)
    assert confidence_from_network(c)[4] == 0


def test_a_window_too_large_for_the_memory_is_thinned(walk: Film) -> None:
    backbone = TrueBackbone(walk, most=3)
    found = NetworkGuide(backbone).predict(window(walk, [0, 2, 4, 6, 8]))
    assert found is not None
    assert backbone.seen == [[0, 4, 8]]
    assert [bool(d.any()) for d in found.depth] == [True, False, True, False, True]
    true = walk.T_world_cam[[0, 2, 4, 6, 8]] @ np.eye(4)
    true = se3.inverse(true[0]) @ true
    true[:, :3, 3] *= UNIT / found.raw_scale
    np.testing.assert_allclose(found.T_window_cam, true, atol=2e-3)


def test_an_answer_that_is_not_finite_is_no_answer(walk: Film) -> None:
    backbone = TrueBackbone(walk)
    backbone.change = lambda scene: replace(scene, T_cam_world=scene.T_cam_world * np.nan)
    assert NetworkGuide(backbone).predict(window(walk, [0, 5])) is None
    backbone.change = lambda scene: replace(scene, depth=scene.depth * np.nan)
    assert NetworkGuide(backbone).predict(window(walk, [0, 5])) is None


def test_a_camera_of_another_size_is_refused_by_the_pixel_map(walk: Film) -> None:
    maps = TrueBackbone(walk).prepare(walk.images[:1]).maps
    with pytest.raises(InputError, match="calibrated for"):
        maps[0].camera_to_network(Camera.from_fov(100, 80, 60.0))


def test_all_off_is_sfm(walk: Film) -> None:
    """To the last bit, and the network is not asked once."""
    slam, backbone = run(walk, NOTHING)
    plain = Slam(CAMERA)
    for i, image in enumerate(walk.images):
        plain.process(Frame(i, i / 30, image))
    slam.finish()
    plain.finish()
    assert backbone.seen == []
    assert len(plain.map.trajectory())
    assert slam.map.trajectory().T_world_cam.tobytes() == plain.map.trajectory().T_world_cam.tobytes()


def test_where_nothing_is_weak_it_is_not_asked(walk: Film) -> None:
    """With all that is on by default, and the result is that without a network to the last bit."""
    slam, backbone = run(walk, VggtUse())
    plain = Slam(CAMERA)
    for i, image in enumerate(walk.images):
        plain.process(Frame(i, i / 30, image))
    slam.finish()
    plain.finish()
    assert backbone.seen == []
    assert len(plain.map.trajectory()) == len(walk.images)
    assert slam.map.trajectory().T_world_cam.tobytes() == plain.map.trajectory().T_world_cam.tobytes()


def test_every_keyframe_has_dense_depth(guided_walk: Slam, walk: Film) -> None:
    for k in guided_walk.map.keyframes:
        assert k.depth is not None
        assert k.confidence is not None
        h, w = k.depth.shape
        true = cv2.resize(walk.depth[k.frame_id].astype(np.float32), (w, h), interpolation=cv2.INTER_NEAREST)
        ratio = k.depth / true / scale_at(guided_walk, walk, k.id)
        assert np.median(np.abs(ratio - 1)) < 0.03
    off = run(walk, VggtUse())[0]
    off.finish()
    assert any(k.depth is None for k in off.map.keyframes)
    assert off.map.trajectory().T_world_cam.tobytes() == guided_walk.map.trajectory().T_world_cam.tobytes()


def test_a_network_that_contradicts_the_features_is_not_listened_to(walk: Film) -> None:
    backbone = TrueBackbone(walk)
    noise = np.random.default_rng(0)
    backbone.change = lambda s: replace(s, depth=s.depth * np.exp(noise.normal(size=s.depth.shape)).astype(np.float32))
    slam = Slam(CAMERA, guide=NetworkGuide(backbone, replace(NOTHING, dense_depth=True)))
    for i, image in enumerate(walk.images):
        slam.process(Frame(i, i / 30, image))
    assert backbone.seen == []
    slam.finish()
    assert backbone.seen
    assert slam.guide is not None
    assert slam.guide.desk.report()["n_believed"] == 0
    depth = [k.depth for k in slam.map.keyframes]
    assert any(d is None for d in depth), "what the plane sweep has not made is not there"


def test_motion_guess_is_asked_only_when_the_map_does_not_show_the_view_either(walk: Film) -> None:
    """After a roll of 40 degrees matches with the map find the camera, after half a turn nothing does: the network sees
    these two views, and no others. What it says of a place that the map does not show is not believed."""
    asked = {}
    for name, angles in {"roll": (0, 0, 40), "turn": (0, 170, 0)}.items():
        jumped = film([*walk.T_world_cam, walk.T_world_cam[-1] @ pose(angles, (0, 0, 0))])
        slam, backbone = run(jumped, replace(NOTHING, motion_guess=True))
        asked[name] = backbone.seen
        assert slam.guide is not None
        assert slam.guide.desk.report()["n_believed"] == 0
        assert slam.map.frames[-1].T_ref_cam is None or name == "roll"
        assert run(jumped, NOTHING)[1].seen == []
    assert asked == {"roll": [], "turn": [[23, 24]]}


def test_random_weights_are_told_of_and_others_are_not() -> None:
    assert notes_on(True) == [RANDOM_NOTE]
    assert notes_on(False) == []
