"""Structure from motion over stills: points in known places, with features that only they have."""

import numpy as np
import pytest

from vgslam.frontend.matching import ImageFeatures
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.refine import stills_model
from vgslam.refine.adjust import InterruptedRefinementError, Watch
from vgslam.refine.stills_model import (
    Agreements,
    StillsModel,
    agreements,
    held,
    largest_part,
    pairs_to_match,
    solve_stills,
)  # fmt: skip
from vgslam.types import Array, Ids

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
N_IMAGES = 8


def arc() -> Array:
    """T_world_cam (8,4,4) of cameras on an arc that look at its centre, 20 degrees from one to the next."""
    T = np.tile(np.eye(4), (N_IMAGES, 1, 1))
    for n, angle in enumerate(np.radians(20.0 * np.arange(N_IMAGES))):
        T[n, :3, :3] = se3.so3_exp(np.array([0.0, -angle, 0.0]))
        T[n, :3, 3] = T[n, :3, :3] @ [0.0, 0.0, -5.0]
    return T


def features(T: Array, points: Array, shown: list[Ids]) -> list[ImageFeatures]:
    """What each image shows of the points, seen to a third of a pixel; each point has a descriptor of its own."""
    rng = np.random.default_rng(1)
    words = np.abs(rng.normal(size=(len(points), 128)))
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    out = []
    for T_world_cam, rows in zip(T, shown, strict=True):
        pixels = CAMERA.project(se3.transform(se3.inverse(T_world_cam), points[rows]))
        pixels += rng.normal(0.0, 0.3, pixels.shape)
        out.append(ImageFeatures(pixels, words[rows].astype(np.float32)))
    return out


def test_stills_far_apart_are_placed_together_and_one_that_shows_something_else_is_left_out() -> None:
    T = arc()
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (400, 3))
    everything, else_ = np.arange(300), np.arange(300, 400)
    shown = [everything] * 3 + [else_] + [everything] * 4
    model = solve_stills(features(T, points, shown), CAMERA, Watch())
    assert model is not None
    assert model.images.tolist() == [0, 1, 2, 4, 5, 6, 7]
    expected, found = T[model.images], model.T_world_cam
    steps = [np.linalg.norm(np.diff(x[:, :3, 3], axis=0), axis=1) for x in (expected, found)]
    assert steps[1] / steps[1][0] == pytest.approx(steps[0] / steps[0][0], rel=0.02)
    turned = found[0, :3, :3].T @ found[-1, :3, :3]
    assert se3.angle_deg(turned) == pytest.approx(140.0, abs=0.3)
    error = CAMERA.project(
        se3.transform(se3.inverse(found[0]), model.points[model.point[model.cam == 0]])
    ) - model.pixels[model.cam == 0]  # fmt: skip
    assert np.linalg.norm(error, axis=1).mean() < 0.6, "pixels are counted from the centre of the first"


@pytest.mark.parametrize("n_shared", [0, 30])
def test_stills_that_have_too_little_in_common_make_no_model_and_no_noise(
    n_shared: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two of them share nothing, or too little to begin with."""
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 3))
    shown = [np.arange(50), np.arange(50 - n_shared, 100 - n_shared)]
    assert solve_stills(features(arc()[:2], points, shown), CAMERA, Watch()) is None
    assert capfd.readouterr() == ("", "")


def test_the_database_holds_what_pycolmap_calls_a_pixel_and_the_camera_is_never_adjusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pycolmap's (0.5, 0.5) is the centre of the first pixel, for features and for the principal point; results do not
    depend on luck or on other threads."""
    import pycolmap

    points = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 3))
    given = features(arc()[:3], points, [np.arange(60)] * 3)
    found: dict[str, object] = {}

    def mapped(path: str, _: object, __: object, options: pycolmap.IncrementalPipelineOptions) -> dict[int, object]:
        database = pycolmap.Database.open(path)
        found["pixels"] = [database.read_keypoints(n)[:, :2] for n in (1, 2, 3)]
        found["camera"] = database.read_all_cameras()[0]
        found["options"] = options
        database.close()
        return {}

    monkeypatch.setattr(pycolmap, "incremental_mapping", mapped)
    assert solve_stills(given, CAMERA, Watch()) is None
    for pixels, image in zip(found["pixels"], given, strict=True):  # type: ignore[call-overload]
        assert pixels == pytest.approx(image.pixels + 0.5, abs=1e-4)
    assert found["camera"].params.tolist() == [500.0, 500.0, 320.0, 240.0]  # type: ignore[attr-defined]
    assert found["camera"].has_prior_focal_length  # type: ignore[attr-defined]
    o = found["options"]
    assert isinstance(o, pycolmap.IncrementalPipelineOptions)
    assert (o.num_threads, o.mapper.num_threads) == (1, 1)
    assert (o.random_seed, o.mapper.random_seed, o.triangulation.random_seed) == (0, 0, 0)
    held = o.ba_refine_focal_length, o.ba_refine_extra_params, o.mapper.abs_pose_refine_focal_length
    assert held == (False, False, False)
    assert (o.mapper.abs_pose_refine_extra_params, o.multiple_models, o.extract_colors) == (False, False, False)
    assert o.structure_less_registration_fallback is False
    assert (o.min_model_size, o.mapper.init_min_num_inliers, o.mapper.abs_pose_min_num_inliers) == (3, 50, 20)
    assert (o.mapper.abs_pose_max_error, o.mapper.abs_pose_min_inlier_ratio) == (6.0, 0.4)


@pytest.mark.parametrize(("n_shared", "is_pair"), [(14, False), (16, True)])
def test_a_pair_has_fifteen_matches(n_shared: int, is_pair: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import pycolmap

    points = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 3))
    shown = [np.arange(50), np.arange(50 - n_shared, 100 - n_shared)]
    monkeypatch.setattr(pycolmap, "incremental_mapping", lambda *_: {})
    asked = list[int]()
    monkeypatch.setattr(stills_model, "load_pycolmap", lambda: asked.append(1) or pycolmap)
    assert solve_stills(features(arc()[:2], points, shown), CAMERA, Watch()) is None
    assert (len(asked) > 1) == is_pair, "a model is asked for where there is a pair"


def test_it_can_be_stopped() -> None:
    shown = [np.arange(100)] * N_IMAGES
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 3))
    with pytest.raises(InterruptedRefinementError):
        solve_stills(features(arc(), points, shown), CAMERA, Watch(should_stop=lambda: True))


def test_images_that_follow_one_another_are_matched_though_they_look_like_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    images = [ImageFeatures(np.zeros((9, 2)), rng.random((9, 128), np.float32)) for _ in range(6)]
    assert len(pairs_to_match(images)) == 15, "all pairs of a few"
    monkeypatch.setattr(stills_model, "N_ALIKE", 0)
    assert pairs_to_match(images) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 5),
    ]  # fmt: skip


def model_of(seen: list[Ids], n_points: int) -> StillsModel:
    """Images that see those points, at pixels that name both."""
    cam = np.concatenate([np.full(len(ids), n) for n, ids in enumerate(seen)])
    point = np.concatenate(seen)
    pixels = np.stack([cam, point], axis=1).astype(float)
    n = len(seen)
    return StillsModel(np.arange(n) + 10, np.tile(np.eye(4), (n, 1, 1)), np.arange(3.0 * n_points).reshape(-1, 3),
                       cam, point, pixels)  # fmt: skip


def agreeing(n_images: int, shares: dict[tuple[int, int], float] | None = None) -> Agreements:
    """All pairs with a hundred matches, of which all agree but those given."""
    pairs = [(a, b) for a in range(n_images) for b in range(a + 1, n_images)]
    a, b = np.array(pairs).T
    return Agreements(a, b, np.full(len(a), 100), np.array([100.0 * (shares or {}).get(p, 1.0) for p in pairs]))


@pytest.mark.parametrize(("n", "images"), [(20, [10, 11, 12, 13]), (19, [10, 11, 12])])
def test_an_image_is_held_by_twenty_landmarks_that_three_see(n: int, images: list[int]) -> None:
    """The last shows n of those that three others see, and a hundred that one other sees."""
    ids, far = np.arange(40), np.arange(40, 140)
    model = held(model_of([ids, ids, np.concatenate([ids, far]), np.concatenate([ids[:n], far])], 140), agreeing(4))
    assert model is not None
    assert model.images.tolist() == images
    assert len(model.points) == (140 if len(images) == 4 else 40), "what one image sees is no landmark"
    assert (model.pixels[:, 0] == model.cam).all()
    assert (model.points[model.point, 0] == 3.0 * model.pixels[:, 1]).all()


def test_what_hangs_on_an_image_that_goes_goes_too() -> None:
    """Images 3 and 4 and a third make landmarks of three views; the third itself is not held."""
    ids = np.arange(40)
    chain = [ids, ids, ids, np.arange(100, 130), np.arange(100, 130), np.arange(100, 119)]
    model = held(model_of(chain, 130), agreeing(6))
    assert model is not None
    assert model.images.tolist() == [10, 11, 12]
    assert held(model_of(chain[3:], 130), agreeing(3)) is None


@pytest.mark.parametrize(("share", "images"), [(0.84, [10, 11, 12]), (0.86, [10, 11, 12, 13])])
def test_an_image_goes_that_its_matches_deny(share: float, images: list[int]) -> None:
    """Those that it agrees with so little stay, however much that takes from their own share."""
    said = agreeing(4, {(n, 3): share for n in range(3)})
    expected = [(200.0 + 100.0 * share) / 300.0] * 3 + [share]
    assert said.shares(np.ones(4, bool)) == pytest.approx(expected)
    assert said.shares(np.arange(4) < 3) == pytest.approx(1.0)
    model = held(model_of([np.arange(40)] * 4, 40), said)
    assert model is not None
    assert model.images.tolist() == images


@pytest.mark.parametrize(("n", "images"), [(15, [10, 11, 12, 13, 14, 15, 16]), (14, [10, 11, 12, 13])])
def test_what_fewer_than_fifteen_matches_tie_is_no_one_model(n: int, images: list[int]) -> None:
    """Four images and three more, all with the same landmarks; so many matches between a pair of them."""
    said = agreeing(7)
    between = (said.a < 4) & (said.b >= 4)
    n_matches = np.where(between, np.where((said.a == 3) & (said.b == 4), n, 0), 100)
    model = held(model_of([np.arange(40)] * 7, 40), Agreements(said.a, said.b, n_matches, n_matches.astype(float)))
    assert model is not None
    assert model.images.tolist() == images


def test_the_worst_goes_first() -> None:
    """With image 3 none of the others has .85, without it all that they have agrees."""
    said = agreeing(4, {(0, 3): 0.0, (1, 3): 0.0, (2, 3): 0.5})
    assert said.shares(np.ones(4, bool)) == pytest.approx([2 / 3, 2 / 3, 2.5 / 3, 0.5 / 3])
    model = held(model_of([np.arange(40)] * 4, 40), said)
    assert model is not None
    assert model.images.tolist() == [10, 11, 12]


def test_only_what_hangs_together_is_one_model() -> None:
    """Two and three images that a middle one has tied, which goes."""
    links = np.zeros((6, 6), bool)
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)):
        links[a, b] = links[b, a] = True
    everything = np.ones(6, bool)
    assert largest_part(links, everything).all()
    assert largest_part(links, np.arange(6) != 2).tolist() == [False] * 3 + [True] * 3
    assert largest_part(links, np.arange(6) != 3).tolist() == [True] * 3 + [False] * 3
    assert largest_part(links[:5, :5], np.arange(5) != 2).tolist() == [True, True, False, False, False], "the first"
    assert not largest_part(links, ~everything).any()


def test_matches_agree_with_poses_on_their_epipolar_lines() -> None:
    """Image 11 is beside image 10: rows of the image are the lines. Image 7 is not in the model."""
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 0, 3] = 1.0
    nothing = np.zeros(0, np.int64)
    model = StillsModel(np.array([10, 11]), T, np.zeros((0, 3)), nothing, nothing, np.zeros((0, 2)))
    px = np.array([[100.0, 50.0], [200.0, 150.0], [300.0, 250.0], [400.0, 350.0]])
    beside = px + np.array([[30.0, 3.9], [9.0, -3.9], [5.0, 4.1], [5.0, 40.0]])
    said = agreements(model, {(10, 11): (px, beside), (7, 10): (px, px)}, CAMERA)
    assert (said.a.tolist(), said.b.tolist(), said.n.tolist()) == ([0], [1], [4])
    assert said.n_agreeing == pytest.approx([2.0])
