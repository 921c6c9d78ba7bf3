"""The rerun viewer: a window, a browser or a file. The only importer of rerun.

Entities: `world/camera` (pose, image, inliers), and for each component N, which has its own origin and unit,
`world/component_N/` path, lost, relocalized, keyframes, edges/KIND and points/KEYFRAME; `keyframe/` depth and
confidence; `latency_ms`, `inlier_ratio`, `n_inliers`. Time lines: `frame` and `time` (seconds from the first frame).
"""

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from vgslam.errors import OutputError
from vgslam.guards.wording import first_line
from vgslam.interfaces import ViewedMap
from vgslam.types import Array, Camera, EdgeKind, Frame, Ids, Keyframe, PoseEstimate, Status
from vgslam.viewer.strips import strips_by_status
from vgslam.viewer.style import STATUS_COLORS, component_color
from vgslam.viewer.web_server import WebServer, rerun_beside

EDGE_COLORS = {EdgeKind.ODOMETRY: "#9E9E9E", EdgeKind.LOOP: "#CC79A7", EdgeKind.RELOC: "#E69F00"}
FLUSH_S = 60.0  # longest time for what the viewer has not taken yet, in s: one that is gone takes nothing
MAX_IMAGE_WIDTH = 640
MAX_POINTS = 500_000
MAX_POINTS_PER_KEYFRAME = 10_000
FRUSTUM_PER_DEPTH = 0.15  # length of the camera's pyramid along that depth
FRUSTUM_LINE = -2.0  # width of its lines: negative are points of the screen, positive would be units of the map
NEAR_IS_WARM = rr.components.Colormap.Spectral  # from red to violet, as in the plots
VOXELS_PER_DEPTH = 60.0  # voxels along the median depth of the first keyframe that has depth
MIN_CONFIDENCE = 0.5
DEPTH_MAY_COME_FOR = 30  # keyframes after which one without depth is taken to stay without
STILL = 1e-4  # change of a pose's numbers below which a keyframe is not shown again


@dataclass(frozen=True)
class _Graph:
    """The keyframes as last shown, to see what has changed: number shown, poses and scales of those with points."""

    n_keyframes: int
    n_edges: int


class RerunViewer:
    """Shows a run in rerun: light things for every frame, heavy ones at keyframes, all within a `LoadLimit`. What the
    limit does not allow is left out or comes later; `close` shows the last state whole."""

    def __init__(self, recording: rr.RecordingStream, where: str) -> None:
        self.where = where
        self.limit = LoadLimit()
        self._rec = recording
        self._server: WebServer | None = None  # lives as long as the viewer
        self._voxels: VoxelFilter | None = None
        self._unit = 1.0  # median depth of the first keyframe that has depth; a map begins with about 1
        self._start_s: float | None = None
        self._graph = _Graph(0, 0)
        self._n_queued = 0
        self._without_depth: deque[int] = deque()
        self._placed: dict[int, Array] = {}
        self._rec.log("world", rr.ViewCoordinates.RDF, static=True)
        self._rec.send_blueprint(_blueprint())

    @staticmethod
    def spawn(title: str) -> "RerunViewer":
        """Opens a window. Raises OutputError when the viewer's program cannot be started."""
        recording = rr.RecordingStream(f"vgslam {title}")
        try:
            rr.spawn(recording=recording, executable_path=rerun_beside())
        except RuntimeError as error:
            why = first_line(error)
            raise OutputError(f"no viewer window ({why}); --viewer web or --viewer FILE.rrd need none") from error
        return RerunViewer(recording, "the viewer opens its own window")

    @staticmethod
    def serve(title: str) -> "RerunViewer":
        """A server for a browser on this machine, until the process ends. Raises OutputError."""
        server = WebServer()
        recording = rr.RecordingStream(f"vgslam {title}")
        recording.connect_grpc(server.uri)
        viewer = RerunViewer(recording, f"the viewer is at {server.page}")
        viewer._server = server
        return viewer

    @staticmethod
    def record(title: str, path: Path) -> "RerunViewer":
        """A file for later: `rerun FILE`."""
        recording = rr.RecordingStream(f"vgslam {title}")
        recording.save(path)
        return RerunViewer(recording, f"the viewer's recording goes to {path}; open it with: rerun {path}")

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None:
        """Show what the limit allows of the newest state."""
        self.limit.earn(latency_s)
        if not self.limit.allows(LIGHT_SHARE):
            return
        began = time.perf_counter()
        self._set_time(estimate)
        self._show_frame(estimate, slam_map, latency_s)
        is_new = len(slam_map.keyframes) != self._graph.n_keyframes or len(slam_map.edges) != self._graph.n_edges
        self.limit.spend(time.perf_counter() - began)
        if is_new and self.limit.allows(HEAVY_SHARE):
            began = time.perf_counter()
            self._show_image(frame, slam_map)
            self._show_map(slam_map)
            self._show_clouds(slam_map, is_last=False)
            self.limit.spend(time.perf_counter() - began)

    def close(self, slam_map: ViewedMap) -> None:
        """Show the last state whole, write everything out, let go."""
        if self._start_s is not None:
            self._show_map(slam_map)
            self._show_clouds(slam_map, is_last=True)
        self._rec.flush(timeout_sec=FLUSH_S)

    def _set_time(self, estimate: PoseEstimate) -> None:
        if self._start_s is None:
            self._start_s = estimate.timestamp_s
        self._rec.set_time("frame", sequence=estimate.frame_id)
        self._rec.set_time("time", duration=estimate.timestamp_s - self._start_s)

    def _show_frame(self, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None:
        self._rec.log("latency_ms", rr.Scalars(1e3 * latency_s))
        self._rec.log("inlier_ratio", rr.Scalars(estimate.inlier_ratio))
        self._rec.log("n_inliers", rr.Scalars(estimate.n_inliers))
        T = slam_map.pose_of(estimate)
        if T is not None:
            self._rec.log("world/camera", rr.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))

    def _show_image(self, frame: Frame, slam_map: ViewedMap) -> None:
        """The newest keyframe's image, its frustum, and the pixels of the landmarks that it sees."""
        if not slam_map.keyframes:
            return
        keyframe = slam_map.keyframes[-1]
        is_now = keyframe.timestamp_s == frame.timestamp_s
        image = _shrunk(frame.image if is_now else keyframe.image)
        scale = image.shape[1] / keyframe.camera.width  # the frame's image may be smaller than the keyframe's
        ok, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
        if not ok:
            return
        pinhole = _pinhole(keyframe.camera, scale, image.shape, self._unit, component_color(keyframe.component_id))
        self._rec.log("world/camera/image", pinhole)
        self._rec.log("world/camera/image", rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"))
        pixels = (slam_map.observed[-1].pixels + 0.5) * scale  # rerun's pixel (0,0) begins at its corner
        self._rec.log("world/camera/image/inliers", rr.Points2D(pixels, colors=_rgb("#00E676"), radii=2.0))

    def _show_map(self, slam_map: ViewedMap) -> None:
        self._graph = _Graph(len(slam_map.keyframes), len(slam_map.edges))
        self._show_path(slam_map)
        ids = np.arange(len(slam_map.keyframes))
        if not len(ids):
            return
        centres = slam_map.T_world_keyframes(ids)[:, :3, 3]
        component = np.array([k.component_id for k in slam_map.keyframes])
        for c in np.unique(component).tolist():
            color = _rgb(component_color(c))
            self._rec.log(f"{_root(c)}/keyframes", rr.Points3D(centres[component == c], colors=color, radii=-3.0))
        self._show_edges(slam_map, centres, component)
        self._move_clouds(slam_map)

    def _show_edges(self, slam_map: ViewedMap, centres: Array, component: Array) -> None:
        edges = list(slam_map.edges.values())
        ends = np.array([(e.id_a, e.id_b) for e in edges], np.int64).reshape(-1, 2)
        for kind, hex_color in EDGE_COLORS.items():
            mine = ends[np.array([e.kind is kind for e in edges], bool)]
            for c in np.unique(component[mine[:, 0]]).tolist():
                lines = centres[mine[component[mine[:, 0]] == c]]
                entity = f"{_root(c)}/edges/{kind.value.lower()}"
                self._rec.log(entity, rr.LineStrips3D(lines, colors=_rgb(hex_color), radii=-1.0))

    def _show_path(self, slam_map: ViewedMap) -> None:
        trajectory = slam_map.trajectory()
        strips = strips_by_status(trajectory)
        found = {f.frame_id for f in slam_map.session_frames() if f.status is Status.RELOCALIZED}
        is_found = np.isin(trajectory.frame_ids, list(found))
        for c in dict.fromkeys(trajectory.component_ids.tolist()):
            for status, name in ((Status.TRACKED, "path"), (Status.LOST, "lost")):
                pieces = [s.points for s in strips if s.component_id == c and s.status is status]
                hex_color = component_color(c) if status is Status.TRACKED else STATUS_COLORS[status]
                if pieces:
                    self._rec.log(f"{_root(c)}/{name}", rr.LineStrips3D(pieces, colors=_rgb(hex_color), radii=-1.5))
            points = trajectory.T_world_cam[is_found & (trajectory.component_ids == c), :3, 3]
            if len(points):
                color = _rgb(STATUS_COLORS[Status.RELOCALIZED])
                self._rec.log(f"{_root(c)}/relocalized", rr.Points3D(points, colors=color, radii=-6.0))

    def _show_clouds(self, slam_map: ViewedMap, is_last: bool) -> None:
        """Depth of keyframes that have got theirs, oldest first, as long as the limit allows (to the end when last)."""
        self._without_depth.extend(range(self._n_queued, len(slam_map.keyframes)))
        self._n_queued = len(slam_map.keyframes)
        for _ in range(len(self._without_depth)):
            if not is_last and not self.limit.allows(HEAVY_SHARE):
                return
            began = time.perf_counter()
            k = self._without_depth.popleft()
            keyframe = slam_map.keyframes[k]
            depth = keyframe.depth
            if depth is not None:
                self._show_depth(keyframe)
                self._show_cloud(keyframe)
            elif len(slam_map.keyframes) - k < DEPTH_MAY_COME_FOR:
                self._without_depth.append(k)
            self.limit.spend(time.perf_counter() - began)

    def _show_depth(self, keyframe: Keyframe) -> None:
        assert keyframe.depth is not None
        depth = (keyframe.S_world_keyframe.s * keyframe.depth).astype(np.float32)
        known = depth[depth > 0]
        if not len(known):
            return
        near, far = np.percentile(known, [2, 98]).tolist()
        image = rr.DepthImage(depth, meter=1.0, depth_range=(near, max(far, near * 1.001)), colormap=NEAR_IS_WARM)
        self._rec.log("keyframe/depth", image)
        if keyframe.confidence is not None:
            gray = (255 * np.clip(keyframe.confidence, 0.0, 1.0)).astype(np.uint8)
            self._rec.log("keyframe/confidence", rr.Image(gray, color_model="L"))

    def _show_cloud(self, keyframe: Keyframe) -> None:
        """Points in the keyframe's frame, which moves with every optimisation."""
        points, colors = _points_of(keyframe)
        if not len(points):
            return
        if self._voxels is None:
            self._unit = keyframe.S_world_keyframe.s * float(np.median(points[:, 2]))
            self._voxels = VoxelFilter(self._unit / VOXELS_PER_DEPTH, MAX_POINTS)
        chosen = self._voxels.choose(keyframe.S_world_keyframe.apply(points))
        if not len(chosen):
            return
        entity = _cloud_entity(keyframe)
        self._place(keyframe)
        self._rec.log(entity, rr.Points3D(points[chosen].astype(np.float32), colors=colors[chosen], radii=-1.2))

    def _place(self, keyframe: Keyframe) -> None:
        S = keyframe.S_world_keyframe
        self._placed[keyframe.id] = np.concatenate([S.R.ravel(), S.t, [S.s]])
        self._rec.log(_cloud_entity(keyframe), rr.Transform3D(translation=S.t, mat3x3=S.R, scale=S.s))

    def _move_clouds(self, slam_map: ViewedMap) -> None:
        for k, shown in self._placed.items():
            S = slam_map.keyframes[k].S_world_keyframe
            if np.abs(np.concatenate([S.R.ravel(), S.t, [S.s]]) - shown).max() > STILL:
                self._place(slam_map.keyframes[k])


def _root(component_id: int) -> str:
    return f"world/component_{component_id}"


def _cloud_entity(keyframe: Keyframe) -> str:
    return f"{_root(keyframe.component_id)}/points/{keyframe.id}"


def _rgb(hex_color: str) -> list[int]:
    return [int(hex_color[i : i + 2], 16) for i in (1, 3, 5)]


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The image at no more than MAX_IMAGE_WIDTH."""
    scale = min(1.0, MAX_IMAGE_WIDTH / image.shape[1])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _pinhole(camera: Camera, scale: float, shape: tuple[int, ...], unit: float, color: str) -> rr.Pinhole:
    """rerun's pixel (0,0) is the corner of the top-left pixel: half a pixel is added to the principal point. unit: a
    usual depth, which the pyramid's size follows."""
    return rr.Pinhole(
        focal_length=(camera.fx * scale, camera.fy * scale),
        principal_point=((camera.cx + 0.5) * scale, (camera.cy + 0.5) * scale),
        width=shape[1], height=shape[0], camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=FRUSTUM_PER_DEPTH * unit, color=_rgb(color), line_width=FRUSTUM_LINE,
    )  # fmt: skip


def _points_of(keyframe: Keyframe) -> tuple[Array, np.ndarray]:
    """Confident points (n,3) of a keyframe in its own frame and units, and colours (n,3); an even choice of them."""
    depth, confidence, camera = keyframe.depth, keyframe.confidence, keyframe.depth_camera
    if depth is None or confidence is None or camera is None:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    h, w = depth.shape
    v, u = np.nonzero((confidence > MIN_CONFIDENCE) & (depth > 0))
    step = max(1, -(-len(v) // MAX_POINTS_PER_KEYFRAME))
    v, u = v[::step], u[::step]
    points = camera.rays(np.stack([u, v], axis=1)) * depth[v, u][:, None]
    colors = cv2.resize(keyframe.image, (w, h), interpolation=cv2.INTER_AREA)[v, u]
    return points, colors


def _blueprint() -> rrb.Blueprint:
    images = rrb.Horizontal(
        rrb.Spatial2DView(origin="keyframe/depth", name="depth, red is near"),
        rrb.Spatial2DView(origin="keyframe/confidence", name="confidence"),
    )
    series = rrb.Vertical(
        rrb.TimeSeriesView(origin="latency_ms", name="latency [ms]"),
        rrb.TimeSeriesView(origin="inlier_ratio", name="inlier ratio"),
    )
    side = rrb.Vertical(rrb.Spatial2DView(origin="world/camera/image", name="keyframe"), images, series)
    world = rrb.Spatial3DView(origin="world", name="map")
    return rrb.Blueprint(rrb.Horizontal(world, side, column_shares=[3, 2]), collapse_panels=True)


LIGHT_SHARE = 0.06
"""Numbers and the camera's pose are shown while showing has taken no more than this share of tracking's time."""
HEAVY_SHARE = 0.04
"""Images, depth, clouds and paths are shown below this share, so that they leave room for the light things."""


@dataclass
class LoadLimit:
    """An account of seconds: tracking earns, showing spends."""

    tracking_s: float = 0.0
    showing_s: float = 0.0

    def earn(self, tracking_s: float) -> None:
        """Count the seconds in which a frame was tracked."""
        self.tracking_s += tracking_s

    def spend(self, showing_s: float) -> None:
        """Count the seconds in which something was shown."""
        self.showing_s += showing_s

    def allows(self, share: float) -> bool:
        """Whether showing has taken less than this share of tracking's time so far."""
        return self.showing_s < share * self.tracking_s


_OFFSET, _SPAN = 2**20, 2**21  # 21 bits an axis in one 63-bit key
_SHARE_OF_ROOM = 8


class VoxelFilter:
    """Chooses, among new points, those in voxels that hold none yet. voxel: edge length. Never more than max_points are
    accepted, and at one time no more than an eighth of what is left, evenly chosen: a long run grows thinner, but its
    end is shown too."""

    def __init__(self, voxel: float, max_points: int) -> None:
        if not voxel > 0:
            raise ValueError(f"voxel must be positive, got {voxel}")
        self.voxel, self._max_points = voxel, max_points
        self.n_accepted = 0
        self._taken = np.zeros(0, np.int64)

    def choose(self, points: Array) -> Ids:
        """Ascending indices of the points (N,3) that are new; they count as shown from now on."""
        room = self._max_points - self.n_accepted
        if room <= 0 or not len(points):
            return np.zeros(0, np.int64)
        cell = np.clip(np.floor(points / self.voxel), -_OFFSET, _OFFSET - 1).astype(np.int64) + _OFFSET
        keys, first = np.unique((cell[:, 0] * _SPAN + cell[:, 1]) * _SPAN + cell[:, 2], return_index=True)
        new = ~np.isin(keys, self._taken, assume_unique=True)
        keys, first = keys[new], first[new]
        step = max(1, -(-len(keys) // max(1, room // _SHARE_OF_ROOM)))
        keys, first = keys[::step], first[::step]
        self._taken = np.union1d(self._taken, keys)
        self.n_accepted += len(first)
        return np.sort(first)
