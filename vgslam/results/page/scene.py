"""What the 3-D view shows: cloud, paths, keyframes, loops, as points and lines in the coordinates of the view."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vgslam.geometry.sim3 import Sim3
from vgslam.results.page.run_data import RunData, amount, listed, mapping
from vgslam.results.page.viewpoint import Viewpoint, viewpoint
from vgslam.results.ply import read_ply_sample
from vgslam.results.run_folder import CLOUD
from vgslam.types import Array, Ids, Image, Trajectory
from vgslam.viewer.style import LOST_COLOR, component_color

Segments = npt.NDArray[np.float64]  # (S,2,3): both ends of each
MOST_SEGMENTS = 15_000
"""Segments of one path, of 24 bytes each; a longer path is drawn through every second pose, third, ..."""
MOST_FRUSTA = 300
FRUSTUM_OF_STEP, FRUSTUM_RANGE = 0.8, (0.01, 0.04)
"""Length of a drawn camera: this times the median step from keyframe to keyframe, within these parts of the extent."""
_NONE = np.zeros((0, 2, 3))
_CORNERS = np.array([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], np.float64)


def path_segments(path: Trajectory, frame_ids: Ids) -> tuple[Segments, Segments]:
    """Segments between poses of successive frames, and those that bridge frames without a pose. frame_ids (M,): all
    frames of the run, ascending. Every k-th pose is used when there are too many, besides those at both ends of a
    bridge."""
    n = len(path)
    if n < 2:
        return _NONE, _NONE
    row = np.searchsorted(frame_ids, path.frame_ids)
    is_gap = np.diff(row) > 1
    kept = np.arange(n) % (-(-n // MOST_SEGMENTS)) == 0
    kept[[0, -1]] = True
    at_gaps = np.flatnonzero(is_gap)[: MOST_SEGMENTS // 2]
    kept[at_gaps] = kept[at_gaps + 1] = True
    places = np.flatnonzero(kept)
    gaps_before = np.concatenate([[0], np.cumsum(is_gap)])
    bridges = np.diff(gaps_before[places]) > 0
    line = polyline(path.T_world_cam[places, :3, 3], most=n)
    return line[~bridges], line[bridges]


def polyline(points: Array, most: int = MOST_SEGMENTS) -> Segments:
    """Segments from point to point (N,3), through every k-th if they are more than `most`."""
    if len(points) < 2:
        return _NONE
    step = -(-(len(points) - 1) // most)
    kept = points[:: max(1, step)]
    return np.stack([kept[:-1], kept[1:]], axis=1)


def frusta(T_scene_cam: Array, half_width: float, half_height: float) -> Segments:
    """Cameras (K,4,4) as pyramids; half_width, half_height: tangents of half the angles of view."""
    n = len(T_scene_cam)
    if n == 0:
        return _NONE
    centres = T_scene_cam[:, :3, 3]
    extent = float(np.ptp(centres, axis=0).max())
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    length = FRUSTUM_OF_STEP * float(np.median(steps)) if len(steps) else 0.0
    length = float(np.clip(length, FRUSTUM_RANGE[0] * extent, FRUSTUM_RANGE[1] * extent)) or 0.1
    chosen = T_scene_cam[np.unique(np.linspace(0, n - 1, min(n, MOST_FRUSTA)).round().astype(int))]
    corners = length * _CORNERS * np.array([half_width, half_height, 1.0])
    far = np.einsum("kij,cj->kci", chosen[:, :3, :3], corners) + chosen[:, None, :3, 3]
    apex = np.broadcast_to(chosen[:, None, :3, 3], far.shape)
    edges = [np.stack([apex, far], axis=2), np.stack([far, np.roll(far, -1, axis=1)], axis=2)]
    return np.concatenate(edges, axis=1).reshape(-1, 2, 3)


MOST_POINTS = 150_000  # points of the cloud in the page: 9 bytes each
MOST_COMPONENTS = 8  # components that are shown: as many as there are colours
FAR_FACTOR = 3.0
"""Points farther from the middle than this times the 95th percentile are left out: few, far, and mostly wrong."""
LOOP_COLOR = "#D55E00"
TRUTH, GRID = "--soft", "--line"  # colours of the page's style sheet


@dataclass(frozen=True)
class Toggle:
    """What can be shown and hidden together, with its name and colour."""

    name: str
    color: str = ""  # #rrggbb, or the name of a colour of the style sheet; empty for what has many
    is_shown: bool = True


@dataclass(frozen=True)
class Lines:
    """Segments of one colour and width."""

    toggle: int  # index of the toggle; -1 for what is always shown
    color: str
    width_px: float
    segments: Segments


@dataclass
class Scene:
    """All of it, scaled so that most is within 1 of the origin; x right, y ahead, z up."""

    toggles: list[Toggle] = field(default_factory=list)
    lines: list[Lines] = field(default_factory=list)
    points: Array = field(default_factory=lambda: np.zeros((0, 3)))  # (N,3)
    colors: Image = field(default_factory=lambda: np.zeros((0, 3), np.uint8))  # (N,3) RGB
    points_toggle: int = -1
    n_cloud: int = 0  # points of the cloud's file
    n_keyframes: int = 0
    n_loops: int = 0
    grid_step: float = 0.0  # side of a square of the grid, in the world's unit
    unit: str = "map units"
    notes: list[str] = field(default_factory=list)  # what is missing, for people

    def add(self, toggle: Toggle) -> int:
        """Adds a toggle; its index."""
        self.toggles.append(toggle)
        return len(self.toggles) - 1

    def draw(self, toggle: int, color: str, width_px: float, segments: Segments) -> None:
        """Adds lines, if there are any."""
        if len(segments):
            self.lines.append(Lines(toggle, color, width_px, segments))


@dataclass(frozen=True)
class _Piece:
    """A component in the coordinates that the scene is drawn from: those of the truth where it could be aligned."""

    component: int
    path: Trajectory
    keyframes: Array  # (K,4,4)
    S_scene_world: Sim3


def scene_of(data: RunData) -> Scene | None:
    """The scene of a run, in the frame of the truth where there is one; None if no frame has a pose."""
    if data.run is None or not len(data.run.trajectory):
        return None
    scene = Scene()
    pieces = _pieces(data, scene)
    if not pieces:
        return None
    points, colors = _cloud(data, pieces[0], scene)
    shown = pieces if data.evaluation is not None else pieces[:1]
    is_upright = data.evaluation is None and _are_worlds(data, "is_upright")
    view = viewpoint(np.concatenate([p.path.T_world_cam for p in shown]), points, is_upright)
    scene.points, scene.colors = view.seen(points).reshape(-1, 3), colors
    if len(points):
        scene.points_toggle = scene.add(Toggle("cloud"))
    _draw_pieces(scene, data, pieces, view)
    _draw_loops(scene, data, pieces, view)
    _draw_truth(scene, data, view)
    scene.grid_step, grid = view.grid()
    scene.draw(scene.add(Toggle("grid", GRID)), GRID, 0.7, grid)
    scene.unit = "m" if data.evaluation is not None or _are_worlds(data, "is_metric") else "map units"
    return scene


def _pieces(data: RunData, scene: Scene) -> list[_Piece]:
    """The components, the one with the most keyframes first: cloud.ply is that one's."""
    assert data.run is not None
    path, keyframes = data.run.trajectory, data.run.keyframes
    aligned = {} if data.evaluation is None else data.evaluation.alignments
    pieces = []
    for component in dict.fromkeys(path.component_ids.tolist()):
        if data.evaluation is not None and component not in aligned:
            scene.notes.append(f"Component {component} could not be aligned with the truth and is not shown.")
            continue
        S = aligned.get(component, Sim3.identity())
        own = np.zeros((0, 4, 4)) if keyframes is None else keyframes.T_world_cam[keyframes.component_ids == component]
        mine = path.of_component(component)
        mine = replace(mine, T_world_cam=S.compose_poses(mine.T_world_cam))
        pieces.append(_Piece(component, mine, S.compose_poses(own), S))
    pieces.sort(key=lambda p: (-len(p.keyframes), -len(p.path)))
    if len(pieces) > MOST_COMPONENTS:
        scene.notes.append(f"The {MOST_COMPONENTS} largest of {len(pieces)} components are shown.")
    if len(pieces) > 1 and data.evaluation is None:
        scene.notes.append("Components do not share a frame: the largest is shown; each other one has its own origin "
                           "and scale.")  # fmt: skip
    return pieces[:MOST_COMPONENTS]


def _cloud(data: RunData, piece: _Piece, scene: Scene) -> tuple[Array, Image]:
    try:
        points, colors, scene.n_cloud = read_ply_sample(data.path / CLOUD, MOST_POINTS)
    except FileNotFoundError:
        scene.notes.append("This run has no cloud: the path and the keyframes are shown.")
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        scene.notes.append(f"The cloud is not shown: {CLOUD} {text or 'cannot be read'}.")
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    if not len(points):
        scene.notes.append("The cloud of this run is empty: the path and the keyframes are shown.")
        return points, colors
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    near = distance <= FAR_FACTOR * np.percentile(distance, 95)
    return piece.S_scene_world.apply(points[near]), colors[near]


def _draw_pieces(scene: Scene, data: RunData, pieces: Sequence[_Piece], view: Viewpoint) -> None:
    assert data.run is not None
    frames, several = data.run.frames, len(pieces) > 1
    gaps = []
    for i, piece in enumerate(pieces):
        color = component_color(piece.component)
        is_shown = i == 0 or data.evaluation is not None
        toggle = scene.add(Toggle(f"component {piece.component}" if several else "path", color, is_shown))
        line, gap = path_segments(piece.path, frames.frame_ids)
        scene.draw(toggle, color, 2.5, view.seen(line))
        gaps.append((toggle, view.seen(gap)))
        if not several and len(piece.keyframes):
            toggle = scene.add(Toggle("keyframes", color))
        pyramids = frusta(piece.keyframes, *_half_angles(data))
        scene.draw(toggle, color, 1.0, view.seen(pyramids))
        scene.n_keyframes += len(piece.keyframes)
    if not several and len(gaps[0][1]):
        gaps = [(scene.add(Toggle("without a pose", LOST_COLOR)), gaps[0][1])]
    for toggle, gap in gaps:
        scene.draw(toggle, LOST_COLOR, 1.5, gap)


def _draw_loops(scene: Scene, data: RunData, pieces: Sequence[_Piece], view: Viewpoint) -> None:
    """A line from each frame that closed a loop to the one that it was seen from; both must have poses."""
    place = {}
    for i, piece in enumerate(pieces):
        for frame, T in zip(piece.path.frame_ids.tolist(), piece.path.T_world_cam):
            place[frame] = (i, T[:3, 3])
    ends = []
    for loop in map(mapping, listed(data.report.get("loops"))):
        a, b = (place.get(amount(loop.get(name))) for name in ("frame_a", "frame_b"))
        if a is not None and b is not None and (a[0] == b[0] or data.evaluation is not None):
            ends.append(np.stack([a[1], b[1]]))
    scene.n_loops = len(ends)
    if ends:
        toggle = scene.add(Toggle("loops", LOOP_COLOR))
        scene.draw(toggle, LOOP_COLOR, 1.5, view.seen(np.stack(ends[: MOST_SEGMENTS])))


def _draw_truth(scene: Scene, data: RunData, view: Viewpoint) -> None:
    truth = data.truth_positions
    if truth is None or data.evaluation is None:
        return
    line = polyline(truth)
    if len(line):
        scene.draw(scene.add(Toggle("truth", TRUTH)), TRUTH, 1.5, view.seen(line))


def _half_angles(data: RunData) -> tuple[float, float]:
    """Tangents of half the field of view, across and down; those of 60 x 45 degrees where the report has none."""
    camera = mapping(data.report.get("camera"))
    values = [amount(camera.get(name)) for name in ("width", "fx", "height", "fy")]
    width, fx, height, fy = (v if v is not None and v > 0 else np.nan for v in values)
    across, down = width / (2 * fx), height / (2 * fy)
    return (across, down) if 0.01 < across < 10 and 0.01 < down < 10 else (0.577, 0.433)


def _are_worlds(data: RunData, what: str) -> bool:
    """Whether each component that was looked at is what the field `what` says."""
    worlds = [mapping(w).get(what) is True for w in listed(data.report.get("world"))]
    return bool(worlds) and all(worlds)
