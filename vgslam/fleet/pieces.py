"""A long recording in pieces that overlap, the places of their maps in one another, and one calibration for all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vgslam.errors import ConfigError
from vgslam.fleet.seam import Seam, Side, depth_ratios, seam_of
from vgslam.fleet.splice import Part
from vgslam.geometry.radial import radial_since
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.apply import take_along
from vgslam.types import Array, Camera, Ids

OVERLAP = 30
"""Frames that neighbouring pieces have in common: enough for a map to begin, and for some keyframes of each."""
USUAL = 500  # frames of a piece where their number is left to the program
LEAST = 40  # frames of its own that a piece has at least, without those that it begins in common with the next


def cut(n_frames: int, n_pieces: int | None) -> list[range]:
    """The frames of each piece; each begins OVERLAP frames before the last one's end. n_pieces: None for as many as the
    length calls for. Raises ConfigError for pieces that are too short."""
    if n_pieces is None:
        n_pieces = max(1, min(round(n_frames / USUAL), n_frames // LEAST))
    if n_pieces < 1:
        raise ConfigError(f"--pieces must be auto or 1 or more, got {n_pieces}")
    most = max(1, n_frames // LEAST)
    if n_pieces > most:
        can = f"{n_frames} frames make at most {most} piece(s) of {LEAST} frames or more"
        raise ConfigError(f"--pieces {n_pieces}: {can}")
    ends = [round((i + 1) * n_frames / n_pieces) for i in range(n_pieces)]
    return [range(a, min(b + OVERLAP, n_frames)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def numbers_by_time(names_and_times: Sequence[tuple[str, float]]) -> dict[float, int]:
    """The number of each image that can be a frame, by its time in s; those whose time does not grow are passed
    over."""
    found: dict[float, int] = {}
    latest_s = float("-inf")
    for n, (_, t) in enumerate(names_and_times):
        if latest_s < t < float("inf"):
            found[t], latest_s = n, t
    return found


def frames_among(read: Sequence[Ids], without_map: Sequence[range], timed: Ids) -> Ids:
    """Numbers (N,), ascending, of the images that are frames of the whole: read by pieces, or, where only pieces
    without a map would have read them, with a time (`timed`)."""
    unread = [np.arange(r.start, r.stop) for r in without_map]
    lost = np.intersect1d(np.concatenate(unread), timed) if unread else np.zeros(0, np.int64)
    return np.unique(np.concatenate([lost, *read])).astype(np.int64)


@dataclass(frozen=True)
class MappedPiece:
    """A piece that has a map. frames (n,): the number in the recording of each row of the map's frames."""

    piece: int
    slam_map: SlamMap
    frames: Ids

    def side(self, component: int, common: set[int]) -> Side:
        """What the map says of those common frames that it has seen from one component."""
        m = self.slam_map
        poses: dict[int, Array] = {}
        keyframe_of = {k.frame_id: k.id for k in m.keyframes if k.component_id == component}
        keyframes = {}
        for number, e in zip(self.frames.tolist(), m.frames, strict=True):
            if number in common and e.component_id == component and not e.rotation_only:
                T = m.pose_of(e)
                if T is not None:
                    poses[number] = T
                    if e.frame_id in keyframe_of:
                        keyframes[number] = keyframe_of[e.frame_id]
        return Side(m, component, poses, keyframes)

    @property
    def components(self) -> list[int]:
        """Those with keyframes."""
        return sorted({k.component_id for k in self.slam_map.keyframes})


@dataclass(frozen=True)
class Join:
    """Two neighbouring pieces, and the seam or why there is none. cut: the first frame that comes from the second."""

    first: int
    second: int
    cut: int
    seam: Seam | None = None
    reason: str = ""
    components: tuple[int, int] = (-1, -1)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON for the report."""
        s = self.seam
        return {
            "pieces": [self.first, self.second], "is_joined": s is not None, "reason": self.reason,
            "cut_at_frame": self.cut, "n_frames": 0 if s is None else s.n_frames,
            "n_landmarks": 0 if s is None else s.n_landmarks,
            "scale": None if s is None else round(s.S_a_b.s, 6),
            "angle_deg": None if s is None else round(s.angle_deg, 4),
            "distance_percent_of_depth": None if s is None else round(100 * s.distance_share, 3),
            "scale_sigma_percent": None if s is None else round(100 * s.log_sigma, 3),
        }  # fmt: skip


def join_of(a: MappedPiece, b: MappedPiece, ranges: Sequence[range]) -> Join:
    """The seam between two neighbouring pieces: of all pairs of their components the one on which most frames agree."""
    first, second = ranges[a.piece], ranges[b.piece]
    common = set(range(second.start, first.stop))
    found, reasons = Join(a.piece, b.piece, (second.start + first.stop) // 2), []
    for i in a.components:
        side_a = a.side(i, common)
        for j in b.components:
            side_b = b.side(j, common)
            both = sorted(side_a.T_world_cam.keys() & side_b.T_world_cam.keys())
            if not both:
                continue
            made = _join(side_a, side_b, both, found)
            if made.seam is None:
                reasons.append((len(both), made.reason))
            elif found.seam is None or made.seam.n_frames > found.seam.n_frames:
                found = made
    if found.seam is None:
        return replace(found, reason=max(reasons)[1] if reasons else "no frame has a pose in both")
    return found


def _join(a: Side, b: Side, both: list[int], default: Join) -> Join:
    only = {n: a.keyframes[n] for n in both if n in a.keyframes}, {n: b.keyframes[n] for n in both if n in b.keyframes}
    side_a, side_b = replace(a, keyframes=only[0]), replace(b, keyframes=only[1])
    ratios, depth = depth_ratios(side_a, side_b)
    T_a, T_b = (np.stack([s.T_world_cam[n] for n in both]) for s in (a, b))
    seam, reason = seam_of(T_a, T_b, ratios, depth)
    middle = min(both, key=lambda n: (abs(n - default.cut), n))
    return replace(default, cut=middle, seam=seam, reason=reason, components=(a.component, b.component))


def placed(pieces: Sequence[MappedPiece], joins: Sequence[Join], ranges: Sequence[range]) -> list[Part]:
    """The parts of the whole: components that seams join are one. Each frame comes from one piece; where a neighbour
    has no map, from the other as far as it goes."""
    at: dict[tuple[int, int], tuple[int, Sim3]] = {}
    n_components = 0
    by_second = {j.second: j for j in joins if j.seam is not None}
    for p in pieces:
        join = by_second.get(p.piece)
        for c in p.components:
            if join is not None and join.seam is not None and c == join.components[1]:
                component, S = at[join.first, join.components[0]]
                at[p.piece, c] = component, S @ join.seam.S_a_b
            else:
                at[p.piece, c] = n_components, Sim3.identity()
                n_components += 1
    cuts = {j.first: j.cut for j in joins}
    parts = []
    for p in pieces:
        begin = cuts.get(p.piece - 1, ranges[p.piece].start)
        end = cuts.get(p.piece, ranges[p.piece].stop)
        here = {c: at[p.piece, c] for c in p.components}
        parts.append(Part(p.slam_map, p.frames, here, begin, end))
    return parts


def common_camera(maps: Sequence[SlamMap], given: Camera | None = None) -> Camera | None:
    """The median of the pieces' cameras: focal lengths, and the distortion taken out of their images. Pieces too short
    to determine one count only where no others do. None without a keyframe."""
    cameras = [c for m in maps if (c := _usual(m)) is not None]
    if not cameras:
        return None
    found = [c for c in cameras if given is not None and c.of_frames.fx != given.fx] or cameras
    fx, fy = (float(np.median([getattr(c, name) for c in found])) for name in ("fx", "fy"))
    bent = [c for c in cameras if c.removed_k1] or cameras
    # a coefficient of the square of a radius in focal lengths
    k1 = float(np.median([c.removed_k1 * (fx / c.fx) ** 2 for c in bent]))
    return replace(cameras[0], fx=fx, fy=fy, removed_k1=k1)


def give_one_camera(maps: Sequence[SlamMap], given: Camera | None = None) -> None:
    """Gives all keyframes the common camera (arguments as of `common_camera`), with pixels and images straightened to
    it; an adjustment of the whole follows. Raises MapError and OutputError."""
    camera = common_camera(maps, given)
    if camera is None:
        return
    for m in maps:
        same: dict[Camera, list[int]] = {}
        for k in m.keyframes:
            same.setdefault(k.camera, []).append(k.id)
        for own, ids in same.items():
            if own != camera:
                take_along(m, np.array(ids, np.int64), camera, radial_since(camera, own))


def _usual(m: SlamMap) -> Camera | None:
    """The camera of the most keyframes of a map."""
    cameras = [k.camera for k in m.keyframes]
    return max(set(cameras), key=lambda c: (cameras.count(c), c.fx)) if cameras else None
