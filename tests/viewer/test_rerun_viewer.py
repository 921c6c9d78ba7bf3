"""A recording read back: what a run with `--viewer FILE.rrd` leaves in it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import HANG_S

from vgslam.errors import MissingDependencyError
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Edge, EdgeKind, Frame, Keyframe, PoseEstimate, Status
from vgslam.viewer.open import open_viewer

N = 12
LOST = (4, 5, 6)


def slam_map_of(n: int):
    """A camera that goes along x at 0.1 a frame, a keyframe every second frame, lost for a while; frames so far."""
    from vgslam.map.slam_map import SlamMap

    m = SlamMap()
    for i in range(n):
        image = np.full((48, 64, 3), 10 * i, np.uint8)
        if i % 2 == 0 and i not in LOST:
            k = len(m.keyframes)
            S = Sim3(np.eye(3), np.array([0.1 * i, 0, 0]), 1.0)
            camera = Camera.from_fov(64, 48, 70.0)
            kf = Keyframe(k, i, float(i), image, camera, S)
            kf.depth, kf.confidence = np.full((48, 64), 1.0 + k, np.float32), np.ones((48, 64), np.float32)
            kf.depth_camera = camera
            m.add_keyframe(kf, np.arange(3), np.array([[1.0, 2.0], [3.0, 4.0], [63.0, 47.0]]))
            if k:
                kind = EdgeKind.LOOP if k == 3 else EdgeKind.ODOMETRY
                m.edges[(k - 1, k)] = Edge(k - 1, k, Sim3.identity(), np.ones(7), kind)
        if i in LOST:
            m.frames.append(PoseEstimate(i, float(i), Status.LOST))
        else:
            k = len(m.keyframes) - 1
            T = np.eye(4)
            T[0, 3] = 0.1 * i - m.keyframes[k].S_world_keyframe.t[0]
            status = Status.RELOCALIZED if i == LOST[-1] + 1 else Status.TRACKED
            m.frames.append(PoseEstimate(i, float(i), status, k, T, np.eye(6), 3, 0.75))
    return m


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("rerun", reason="the viewer extra is not installed")
    path = tmp_path_factory.mktemp("rrd") / "run.rrd"
    viewer = open_viewer(str(path), "test")
    for i in range(N):
        m = slam_map_of(i + 1)
        viewer.show(Frame(i, float(i), np.full((48, 64, 3), 10 * i, np.uint8)), m.frames[-1], m, 10.0)
    viewer.close(m)
    return path


@pytest.fixture(scope="module")
def printed(recording: Path) -> str:
    """The recording as rerun's own program prints it."""
    rerun = Path(sys.executable).parent / "rerun"
    if not rerun.is_file():
        pytest.skip("rerun's program is not beside python")
    verified = subprocess.run([rerun, "rrd", "verify", recording], capture_output=True, text=True, timeout=HANG_S)
    assert verified.returncode == 0, verified.stderr
    return subprocess.run(
        [rerun, "rrd", "print", "-vvv", recording], capture_output=True, text=True, timeout=HANG_S, check=True
    ).stdout


@pytest.mark.parametrize("entity", [
    "/world/camera", "/world/camera/image", "/world/camera/image/inliers", "/world/component_0/path",
    "/world/component_0/lost", "/world/component_0/relocalized", "/world/component_0/keyframes",
    "/world/component_0/edges/odometry", "/world/component_0/edges/loop", "/world/component_0/points/0",
    "/keyframe/depth", "/keyframe/confidence", "/latency_ms", "/inlier_ratio",
])  # fmt: skip
def test_everything_promised_is_in_the_recording(printed: str, entity: str) -> None:
    assert f"{entity} " in printed or f"{entity}\n" in printed or f"{entity}\t" in printed or f"{entity}│" in printed


class Recorder:
    """Stands in for a recording: the last thing that each entity was given, by type."""

    def __init__(self) -> None:
        self.logged: dict[tuple[str, str], object] = {}

    def log(self, entity: str, what: object, **_: object) -> None:
        self.logged[entity, type(what).__name__] = what

    def nothing(self, *_: object, **__: object) -> None:
        pass

    send_blueprint = set_time = flush = nothing


def moved_by(transform, point: np.ndarray) -> np.ndarray:
    """Where a logged transform takes a point of the entity; rerun stores matrices by columns."""
    M = np.array(transform.mat3x3.as_arrow_array().to_pylist()[0]).reshape(3, 3).T
    t = np.array(transform.translation.as_arrow_array().to_pylist()[0])
    scale = 1.0 if transform.scale is None else transform.scale.as_arrow_array().to_pylist()[0]
    return M @ (scale * point) + t


def test_what_lies_ahead_of_a_turned_camera_is_shown_there() -> None:
    """A camera at (1, 2, 3), turned to its right by 90 degrees: ahead is the world's x. The cloud of a keyframe of
    scale 2 moves with it, and is twice as large."""
    pytest.importorskip("rerun", reason="the viewer extra is not installed")
    from vgslam.viewer.rerun_viewer import RerunViewer

    R = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    m = slam_map_of(1)
    m.set_pose(0, Sim3(R, np.array([1.0, 2, 3]), 2.0))
    recorder = Recorder()
    viewer = RerunViewer(recorder, "")  # type: ignore[arg-type]
    viewer.show(Frame(0, 0.0, m.keyframes[0].image), m.frames[0], m, 100.0)
    viewer.close(m)
    ahead = np.array([0.0, 0, 1])
    np.testing.assert_allclose(moved_by(recorder.logged["world/camera", "Transform3D"], ahead), [2, 2, 3], atol=1e-6)
    cloud = recorder.logged["world/component_0/points/0", "Transform3D"]
    np.testing.assert_allclose(moved_by(cloud, ahead), [3, 2, 3], atol=1e-6)
    down = np.array([0.0, 1, 0])
    np.testing.assert_allclose(moved_by(cloud, down), [1, 4, 3], atol=1e-6)


def test_the_pyramid_of_the_camera_has_a_size_that_is_seen_and_depth_is_warm_where_it_is_near() -> None:
    """A wall 1 unit ahead of a keyframe at scale 2: 2 units of the map, and the pyramid a share of it."""
    rr = pytest.importorskip("rerun", reason="the viewer extra is not installed")
    from vgslam.viewer.rerun_viewer import FRUSTUM_PER_DEPTH, RerunViewer

    recorder = Recorder()
    viewer = RerunViewer(recorder, "")  # type: ignore[arg-type]
    for n in (1, 3):
        m = slam_map_of(n)
        m.set_pose(0, Sim3(np.eye(3), np.zeros(3), 2.0))
        viewer.show(Frame(n - 1, n - 1.0, m.keyframes[-1].image), m.frames[-1], m, 100.0)
        if n == 1:
            depth = recorder.logged["keyframe/depth", "DepthImage"]
    pinhole = recorder.logged["world/camera/image", "Pinhole"]
    assert pinhole.image_plane_distance.as_arrow_array().to_pylist() == pytest.approx([2 * FRUSTUM_PER_DEPTH])
    assert pinhole.color is not None
    assert pinhole.line_width.as_arrow_array().to_pylist()[0] < 0, "a width in units of the map hides it"
    assert depth.colormap.as_arrow_array().to_pylist() == [rr.components.Colormap.Spectral.value]
    assert depth.depth_range.as_arrow_array().to_pylist()[0][0] == pytest.approx(2.0)


def test_what_a_keyframe_sees_lies_where_the_smaller_image_of_its_frame_shows_it() -> None:
    """The keyframe's image is a frame of 32x24 enlarged twice: of pixel (63, 47) the middle is (31.75, 23.75)."""
    pytest.importorskip("rerun", reason="the viewer extra is not installed")
    from vgslam.viewer.rerun_viewer import RerunViewer

    recorder, m = Recorder(), slam_map_of(1)
    RerunViewer(recorder, "").show(  # type: ignore[arg-type]
        Frame(0, 0.0, np.zeros((24, 32, 3), np.uint8)), m.frames[-1], m, 100.0
    )
    inliers = recorder.logged["world/camera/image/inliers", "Points2D"]
    np.testing.assert_allclose(inliers.positions.as_arrow_array().to_pylist()[-1], [31.75, 23.75])
    camera = Camera.from_fov(32, 24, 70.0)
    pinhole = recorder.logged["world/camera/image", "Pinhole"]
    np.testing.assert_allclose(np.reshape(pinhole.image_from_camera.as_arrow_array().to_pylist()[0], (3, 3)).T, [
        [camera.fx, 0.0, 16.0], [0.0, camera.fy, 12.0], [0.0, 0.0, 1.0]
    ], rtol=1e-6)  # fmt: skip


def test_without_rerun_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.delitem(sys.modules, "vgslam.viewer.rerun_viewer", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vgslam\[viewer\]'"):
        open_viewer(str(tmp_path / "x.rrd"), "x")
