"""When a recording is one of stills, whether their solution is taken, and the map that it makes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.errors import OutputError
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.mapper import Mapper, MapperConfig
from vgslam.frontend.matching import ImageFeatures
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry import se3
from vgslam.map.pictures import Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.refine import stills as stills_module
from vgslam.refine.adjust import InterruptedRefinementError, Watch
from vgslam.refine.stills import MOST_STILLS, Stills, in_first
from vgslam.refine.stills_model import StillsModel
from vgslam.types import Array, Frame, PoseEstimate, Status

POSES = [at(x=4.0, z=3.0), at(x=6.0, z=3.0), at(x=8.0, z=3.0)]
"""In a unit of which there are two in the median depth."""


def model_of(images: list[int], poses: list[Array] = POSES) -> StillsModel:
    """A model whose images all see a grid at depth 2; the first of its landmarks is not seen by the first image."""
    x, y = np.meshgrid(np.linspace(5.5, 6.5, 6), np.linspace(-1.0, 1.0, 6))
    points = np.stack([x.ravel(), y.ravel(), np.full(36, 5.0)], axis=1)
    cam, point = np.repeat(np.arange(len(images)), 36)[1:], np.tile(np.arange(36), len(images))[1:]
    T = np.stack(poses[: len(images)])
    X = np.einsum("nij,nj->ni", se3.inverse(T)[cam][:, :3, :3], points[point]) + se3.inverse(T)[cam][:, :3, 3]
    return StillsModel(np.array(images), T, points, cam, point, CAMERA.project(X))


class Made:
    """A system's parts over a map whose keyframes are frames 0, 1, ... and whose other frames are lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n_keyframes: int, n_frames: int, model: Any) -> None:
        self.map, self.n_solved = SlamMap(), 0
        tracker = Tracker(CAMERA, self.map, TrackerConfig())
        mapper = Mapper(self.map, tracker, WindowSfm(), MapperConfig())
        self.stills = Stills(self.map, tracker, mapper, is_on=True)
        self.stills.expect(n_frames)
        tracked = hand_map([at(x=k) for k in range(n_keyframes)])
        for n in range(n_frames):
            image = np.full((CAMERA.height, CAMERA.width, 3), [n, 100, 200], np.uint8)
            self.stills.see(Frame(n, float(n), image))
            if n < n_keyframes:
                keyframe = tracked.keyframes[n]
                keyframe.frame_id = n
                self.map.add_keyframe(keyframe, *tracked.observed[n])
                self.map.frames.append(PoseEstimate(n, float(n), Status.TRACKED, n, np.eye(4)))
            else:
                self.map.frames.append(PoseEstimate(n, float(n), Status.LOST))

        def solved(*_: object) -> StillsModel | None:
            self.n_solved += 1
            if isinstance(model, BaseException):
                raise model
            return model

        monkeypatch.setattr(stills_module, "solve_stills", solved)


def test_a_model_with_more_frames_becomes_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 2, 5, model_of([1, 2, 4]))
    m = made.map
    assert made.stills.take_over(Watch())
    assert [k.frame_id for k in m.keyframes] == [1, 2, 4]
    assert [k.image[0, 0].tolist() for k in m.keyframes] == [[n, 100, 200] for n in (1, 2, 4)]
    assert m.T_world_keyframes(np.arange(3)) == pytest.approx(np.stack([at(), at(x=1.0), at(x=2.0)])), (
        "the first image is the world, the median depth of 2 the unit"
    )
    assert [str(f.status) for f in m.frames] == ["LOST", "TRACKED", "RELOCALIZED", "LOST", "RELOCALIZED"]
    assert [f.frame_id for f in m.frames] == [0, 1, 2, 3, 4]
    assert all(f.covariance is not None for f in m.frames if f.status.has_pose)
    assert {k.component_id for k in m.keyframes} == {0}
    posed = [f for f in m.frames if f.status.has_pose]
    assert [(f.ref_id, f.n_inliers, f.inlier_ratio, f.component_id) for f in posed] == [
        (0, 35, 1.0, 0), (1, 36, 1.0, 0), (2, 36, 1.0, 0),
    ]  # fmt: skip
    assert all((f.T_ref_cam == np.eye(4)).all() for f in posed)
    assert [len(m.observed[k].ids) for k in range(3)] == [35, 36, 36]
    ids = m.observed[1].ids
    assert m.landmarks_world(ids)[:, 2] == pytest.approx(1.0)
    assert sorted(m.landmarks.host[ids].tolist()) == [0] * 35 + [1], "each hangs on the first that sees it"
    assert m.landmarks.is_triangulated[ids].all()
    assert m.landmarks.color[m.observed[0].ids].tolist() == [[1, 100, 200]] * 35
    assert set(m.edges) == {(0, 1), (0, 2), (1, 2)}
    assert not made.stills.take_over(Watch()), "once"


@pytest.mark.parametrize(
    ("components", "is_taken"),
    [([0, 0], True), ([0, 0, 0], False), ([0, 0, 1], True), ([0, 0, 1, 1], False), ([0, 0, 0, 0], False)],
)
def test_a_model_of_three_frames_is_taken_if_it_has_all_that_the_pieces_have(
    monkeypatch: pytest.MonkeyPatch, components: list[int], is_taken: bool
) -> None:
    n_keyframes = len(components)
    made = Made(monkeypatch, n_keyframes, 5, model_of([0, 1, 2]))
    for n, component in enumerate(components):
        made.map.frames[n] = replace(made.map.frames[n], component_id=component)
    assert made.stills.take_over(Watch()) == is_taken
    if not is_taken:
        assert not made.stills.take_over(Watch())
        assert made.n_solved == 1, "the same question is not asked again"
        assert len(made.map.keyframes) == n_keyframes


def test_the_unit_is_the_median_depth_in_the_images_that_see_it() -> None:
    """Points at z = 5; the first camera is at z = 3, the second at 1 and the third at -1: depths of 2, 4 and 6."""
    model = model_of([0, 1, 2], [at(x=6.0, z=3.0), at(x=6.0, z=1.0), at(x=6.0, z=-1.0)])
    T, points = in_first(model)
    assert T[:, :3, 3] == pytest.approx(np.array([[0, 0, 0], [0, 0, -0.5], [0, 0, -1.0]]))
    assert points[:, 2] == pytest.approx(0.5)
    turned = replace(model, T_world_cam=at(turn=(0.0, 0.0, 90.0)) @ model.T_world_cam,
                     points=se3.transform(at(turn=(0.0, 0.0, 90.0)), model.points))  # fmt: skip
    assert in_first(turned)[0] == pytest.approx(T)
    assert in_first(turned)[1] == pytest.approx(points)


def test_images_of_32_mebibytes_are_kept_in_memory() -> None:
    stills = Stills(SlamMap(), Tracker(CAMERA, SlamMap(), TrackerConfig()), None, is_on=True)  # type: ignore[arg-type]
    assert stills._images.budget_bytes == 33_554_432


@pytest.mark.parametrize("is_masked", [False, True])
def test_features_are_those_of_all_frames_where_the_mask_allows(
    is_masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, asked = Made(monkeypatch, 2, 5, None), list[list[int]]()

    def described(gray: Array, _: object) -> ImageFeatures:
        return ImageFeatures(np.array([[5.0, float(gray[0, 0])], [60.0, 20.0]]), np.zeros((2, 128), np.float32))

    def solved(found: list[ImageFeatures], *_: object) -> None:
        asked.append([len(f.pixels) for f in found])

    monkeypatch.setattr(stills_module, "describe", described)
    monkeypatch.setattr(stills_module, "solve_stills", solved)
    if is_masked:
        ignored = np.zeros((CAMERA.height, CAMERA.width), bool)
        ignored[:, :30] = True
        made.stills.tracker.mask = ImageMask(CAMERA.width, CAMERA.height, ignored)
    assert not made.stills.take_over(Watch())
    assert asked == [[1 if is_masked else 2] * 5]


def test_the_features_of_a_long_recording_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 2, 5, model_of([0, 1, 2]))
    monkeypatch.setattr(stills_module, "solve_stills", lambda features, *_: pytest.fail("features were not stopped"))
    assert not made.stills.take_over(Watch(should_stop=lambda: True))


@pytest.mark.parametrize("why", [None, InterruptedRefinementError(), KeyboardInterrupt(), OSError(28, "full")])
def test_without_a_model_the_map_stays(monkeypatch: pytest.MonkeyPatch, why: Any) -> None:
    made = Made(monkeypatch, 2, 4, why)
    assert not made.stills.take_over(Watch())
    assert len(made.map.keyframes) == 2


def test_a_map_that_has_all_frames_in_one_piece_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 3, 3, model_of([0, 1, 2]))
    assert not made.stills.take_over(Watch())
    made.map.frames[2] = replace(made.map.frames[2], component_id=1)
    assert made.stills.take_over(Watch()), "in two pieces"


@pytest.mark.parametrize(("n_keyframes", "is_taken"), [(18, True), (19, False)])
def test_a_map_that_lacks_one_frame_in_twenty_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, n_keyframes: int, is_taken: bool
) -> None:
    model = model_of(list(range(20)), [at(x=5.0 + 0.1 * k, z=3.0) for k in range(20)])
    assert Made(monkeypatch, n_keyframes, 20, model).stills.take_over(Watch()) == is_taken


def test_a_video_is_no_set_of_stills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five frames have a pose, two of them are keyframes, or three."""
    for n_keyframes, is_taken in ((2, False), (3, True)):
        poses = [at(x=4.0 + 0.2 * k, z=3.0) for k in range(6)]
        made = Made(monkeypatch, n_keyframes, 8, model_of([0, 1, 2, 5, 6, 7], poses))
        for n in range(n_keyframes, 5):
            made.map.frames[n] = PoseEstimate(n, float(n), Status.TRACKED, 0, np.eye(4))
        assert made.stills.take_over(Watch()) == is_taken


@pytest.mark.parametrize(("n", "is_on"), [(MOST_STILLS, True), (MOST_STILLS + 1, False)])
def test_few_frames_are_kept(n: int, is_on: bool) -> None:
    tracker = Tracker(CAMERA, SlamMap(), TrackerConfig())
    stills = Stills(SlamMap(), tracker, None, is_on=True)  # type: ignore[arg-type]
    assert not stills.is_on, "of a stream, whose frames nobody has counted, none"
    stills.expect(n)
    assert stills.is_on == is_on
    older = Stills(hand_map([at()]), tracker, None, is_on=True)  # type: ignore[arg-type]
    older.expect(n)
    assert not older.is_on, "a map of an earlier run stays"


def test_a_full_disk_is_no_reason_to_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 2, 4, model_of([0, 1, 2]))
    monkeypatch.setattr(Pictures, "put", raising(OutputError("no room")))
    made.stills.see(Frame(4, 4.0, np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)))
    assert not made.stills.take_over(Watch())


def raising(error: Exception) -> Callable[..., None]:
    """A function that raises."""

    def raises(*_: object) -> None:
        raise error

    return raises
