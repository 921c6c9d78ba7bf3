"""`python -m bench pictures`: the pictures of the README, from the rendered room that comes with the package."""

from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.point_picture import Picture, View, canvas, draw_camera, draw_line, draw_points
from vgslam import Slam, open_source
from vgslam.atomic import write_bytes
from vgslam.geometry.camera import Camera
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.sim3 import Sim3
from vgslam.map.cloud import MAX_REL_SIGMA
from vgslam.map.slam_map import SlamMap
from vgslam.sources import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Keyframe

BACKGROUND, PATH, CAMERA_NOW, KEYFRAME = (16, 20, 28), (255, 176, 32), (255, 255, 255), (90, 200, 250)
CEILING_M = 2.15  # what is higher is left out: one looks into the room from above
POINT_M = 0.03
BRIGHTER = 0.75  # exponent of the colours: the room is dim
LIMIT_BYTES = 3_000_000


@dataclass
class BenchPicturesArgs:
    """Draws the reconstruction of the demo's rendered room: a picture and a short film, docs/reconstruction.*."""

    out: Path = Path("docs")
    """Folder for reconstruction.jpg and reconstruction.webp."""

    every: int = 3
    """The film shows every n-th frame of the demo."""

    milliseconds: int = 90
    """How long it shows each."""


@dataclass(frozen=True)
class Scene:
    """The reconstruction in the room's own metres, z up, in the order in which it came about."""

    images: list[Picture]  # images of all frames
    T_world_cam: Array  # (N,4,4): of all frames
    points: Array  # (M,3)
    colors: Picture  # (M,3)
    since: Array  # (M,): frame of the keyframe that a point came with
    keyframes: list[int]  # their frames

    def known(self, frame: int, view: View) -> tuple[Array, Picture]:
        """Points and colours of what is known at a frame, without what the view sees from behind, such as the walls
        between it and the room."""
        eye = -view.T_cam_world[:3, :3].T @ view.T_cam_world[:3, 3]
        seen_from = self.T_world_cam[self.since, :3, 3]
        is_front = ((self.points - seen_from) * (self.points - eye)).sum(axis=1) > 0
        chosen = (self.since <= frame) & is_front
        return self.points[chosen], self.colors[chosen]


def run_bench_pictures(args: BenchPicturesArgs) -> int:
    """Tracks the demo, draws, and writes both files; returns 0. Raises OutputError."""
    scene = reconstruct()
    args.out.mkdir(parents=True, exist_ok=True)
    last = len(scene.images) - 1
    still = cv2.imencode(".jpg", picture_at(scene, last, (1200, 640), 118.0)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_bytes(args.out / "reconstruction.jpg", still[1].tobytes())
    shown = [*range(0, last, args.every), last]
    film = [picture_at(scene, k, (760, 430), 95.0 + 50.0 * k / last) for k in shown]
    data = film_bytes(film, args.milliseconds)
    write_bytes(args.out / "reconstruction.webp", data)
    print(f"{args.out}/reconstruction.jpg, {len(still[1])} bytes; .webp, {len(data)} bytes, {len(film)} images")
    return 0


def reconstruct() -> Scene:
    """Tracks the demo as `vgslam demo` does, and puts the map onto the room by the truth of the frames' positions."""
    folder = Path(str(resources.files("vgslam"))) / "assets" / "demo"
    source = open_source(folder / "demo.mp4", SourceOptions(calib=folder / "calib.json"))
    truth = read_trajectory(folder / "groundtruth.txt", is_metric=True)
    assert source.camera is not None
    slam, images = Slam(source.camera), []
    for frame in source:
        slam.process(frame)
        images.append(frame.image)
    slam.finish()
    estimate = slam.map.trajectory()
    at = np.searchsorted(truth.timestamps_s, estimate.timestamps_s - 1e-3)
    S = umeyama(truth.T_world_cam[at, :3, 3], estimate.T_world_cam[:, :3, 3])
    return scene_of(slam.map, images, S)


def scene_of(slam_map: SlamMap, images: list[Picture], S: Sim3) -> Scene:
    """The confident dense points and the sure landmarks of a map, moved by S, in the order of their keyframes."""
    marks, frame_of = slam_map.landmarks, np.array([k.frame_id for k in slam_map.keyframes])
    sure = np.flatnonzero(marks.is_triangulated & (marks.rel_sigma < MAX_REL_SIGMA))
    pieces = [(slam_map.landmarks_world(sure), marks.color[sure], frame_of[marks.host[sure]])]
    for keyframe in slam_map.keyframes:
        if keyframe.depth is not None:
            points, colors = dense_points(keyframe)
            pieces.append((points, colors, np.full(len(points), keyframe.frame_id)))
    points, colors, since = (np.concatenate(part) for part in zip(*pieces, strict=True))
    points = S.apply(points)
    is_shown = points[:, 2] < CEILING_M
    poses = np.stack([S.compose_pose(T) for T in slam_map.trajectory().T_world_cam])
    brighter = (255 * (colors / 255) ** BRIGHTER).astype(np.uint8)
    return Scene(images, poses, points[is_shown], brighter[is_shown], since[is_shown], frame_of.tolist())


def picture_at(scene: Scene, frame: int, size: tuple[int, int], azimuth_deg: float) -> Picture:
    """The room as it is known at a frame, the path up to there, its camera, and what that sees in the corner."""
    view = view_of(scene, size, azimuth_deg)
    picture = canvas(view, BACKGROUND)
    draw_points(picture, view, *scene.known(frame, view), POINT_M)
    for k in scene.keyframes:
        if k <= frame:
            draw_camera(picture, view, scene.T_world_cam[k], 0.12, KEYFRAME)
    draw_line(picture, view, scene.T_world_cam[: frame + 1, :3, 3], PATH, 3)
    draw_camera(picture, view, scene.T_world_cam[frame], 0.3, CAMERA_NOW)
    corner = cv2.resize(scene.images[frame], (size[0] // 5, size[0] * 3 // 20), interpolation=cv2.INTER_AREA)
    h, w = corner.shape[:2]
    picture[size[1] - h - 12 : size[1] - 12, 12 : 12 + w] = corner
    cv2.rectangle(picture, (11, size[1] - h - 13), (12 + w, size[1] - 12), CAMERA_NOW, 1)
    return picture


def view_of(scene: Scene, size: tuple[int, int], azimuth_deg: float) -> View:
    """From outside and above, the middle of the room in the middle of the picture."""
    low, high = np.percentile(scene.points, [2, 98], axis=0)
    distance = 1.3 * float(np.linalg.norm(high - low))
    middle = (low + high) / 2 - [0.0, 0.0, 0.35]  # what is near takes more of the picture
    return View.around(middle, distance, azimuth_deg, 42.0, Camera.from_fov(*size, 50.0))


def film_bytes(film: list[Picture], milliseconds: int) -> bytes:
    """An animated WebP that begins again, of the best quality that stays below LIMIT_BYTES."""
    first, *rest = [Image.fromarray(picture) for picture in film]
    times = [*[milliseconds] * len(rest), 2500]
    for quality in range(80, 9, -10):
        buffer = BytesIO()
        first.save(buffer, "WEBP", save_all=True, append_images=rest, duration=times, loop=0, quality=quality, method=4)
        if buffer.tell() <= LIMIT_BYTES:
            break
    return buffer.getvalue()


def dense_points(keyframe: Keyframe) -> tuple[Array, Picture]:
    """What a keyframe's depth shows for sure: points (N,3) in the world, colours (N,3)."""
    depth, confidence, camera = keyframe.depth, keyframe.confidence, keyframe.depth_camera
    assert depth is not None
    assert confidence is not None
    assert camera is not None
    v, u = np.nonzero((confidence > 0.5) & (depth > 0))
    local = camera.rays(np.stack([u, v], axis=1)) * depth[v, u][:, None]
    image = cv2.resize(keyframe.image, depth.shape[::-1], interpolation=cv2.INTER_AREA)
    return keyframe.S_world_keyframe.apply(local), image[v, u]
