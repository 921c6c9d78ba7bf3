"""A map as named arrays and text, without its pictures, and back, bit for bit.

Arrays (K keyframes, L landmarks, O observations, E edges, F frames, C cameras, P pictures, N sessions):
keyframe_*: frame_id, timestamp_s, camera, depth_camera (rows of `camera`, -1 = none), component, R, t, s.
observation_*: count (K,), landmark (O,), px (O,2), those of keyframe 0 first. landmark_*: host, xyz, rel_sigma,
is_triangulated, color. edge_*: ids (E,2), R, t, s, sigmas, kind, inlier_ratio. frame_*: id, timestamp_s, status, ref,
T (F,4,4), has_pose, covariance (F,6,6) in units of the keyframe `ref` as T is, has_covariance, n_inliers,
inlier_ratio, component, rotation_only. camera_*: intrinsics
(C,4) fx fy cx cy, size (C,2) width height, distortion (C,D) padded with zeros, n_distortion, is_fisheye,
removed_k1, enlarged.
keyframe_name (B,) UTF-8 text of the keyframes' file names one after another, keyframe_name_end (K,) where each ends.
session_first_frame (N,), session_camera (N,) rows of `camera`, -1 = none.
world_component (W,), world_known (W,2) is_metric and is_upright, world_sigma (W,2)
scale_rel_sigma and tilt_sigma_deg: `World`s of components. place_vocabulary (8,), place_code (k,256): `PlaceCodes`.
picture_*: key (P,2) keyframe and kind, size (P,), sha256 (P,32).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vgslam.map import frame_table
from vgslam.map.frame_table import FrameTable
from vgslam.map.paged_keyframe import PagedKeyframe
from vgslam.map.slam_map import Session, SlamMap
from vgslam.map.world import World
from vgslam.types import Camera, Edge, EdgeKind, Keyframe, PoseEstimate, Sim3, Status

Arrays = dict[str, npt.NDArray[Any]]

STATUSES = (Status.INITIALIZING, Status.TRACKED, Status.RELOCALIZED, Status.LOST, Status.UNSURE)
EDGE_KINDS = (EdgeKind.ODOMETRY, EdgeKind.LOOP, EdgeKind.RELOC)
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


class Cameras:
    """The different cameras of a map, numbered."""

    def __init__(self) -> None:
        self._index: dict[Camera, int] = {}

    def number(self, camera: Camera | None) -> int:
        """Row of the camera, -1 for none."""
        return -1 if camera is None else self._index.setdefault(camera, len(self._index))

    def arrays(self) -> Arrays:
        cameras = list(self._index)
        longest = max((len(c.distortion) for c in cameras), default=0)
        padded = [[*c.distortion, *[0.0] * (longest - len(c.distortion))] for c in cameras]
        return {
            "camera_intrinsics": _table([[c.fx, c.fy, c.cx, c.cy] for c in cameras], (4,), np.float64),
            "camera_size": _table([[c.width, c.height] for c in cameras], (2,), np.int64),
            "camera_distortion": _table(padded, (longest,), np.float64),
            "camera_n_distortion": _table([len(c.distortion) for c in cameras], (), np.int64),
            "camera_is_fisheye": _table([c.is_fisheye for c in cameras], (), np.bool_),
            "camera_removed_k1": _table([c.removed_k1 for c in cameras], (), np.float64),
            "camera_enlarged": _table([c.enlarged for c in cameras], (), np.int64),
        }


def read_cameras(a: Arrays) -> list[Camera]:
    """The inverse of `Cameras.arrays`."""
    cameras = []
    for i, (fx, fy, cx, cy) in enumerate(a["camera_intrinsics"].tolist()):
        width, height = a["camera_size"][i].tolist()
        distortion = tuple(a["camera_distortion"][i, : int(a["camera_n_distortion"][i])].tolist())
        cameras.append(Camera(fx, fy, cx, cy, width, height, distortion, bool(a["camera_is_fisheye"][i]),
                              float(a["camera_removed_k1"][i]), int(a["camera_enlarged"][i])))
    return cameras


@dataclass(frozen=True)
class SessionNames:
    """The text of the sessions, which no array holds."""

    names: list[str]
    began: list[str]


def to_arrays(slam_map: SlamMap) -> Arrays:
    """All of the map but pictures and names of sessions. Raises ValueError for a map that is just being changed."""
    m, cameras = slam_map, Cameras()
    a = _keyframe_arrays(m, cameras) | _landmark_arrays(m) | _edge_arrays(list(m.edges.values()))
    a["session_camera"] = _table([cameras.number(s.camera) for s in m.sessions], (), np.int64)
    a |= _frame_arrays(m.frames) | cameras.arrays()
    a["session_first_frame"] = _table([s.first_frame_id for s in m.sessions], (), np.int64)
    a["place_vocabulary"], a["place_code"] = m.place_codes.vocabulary.copy(), m.place_codes.codes.view.copy()
    a |= _world_arrays(m) | _name_arrays(m)
    if len(m.keyframes) != len(m.observed):
        raise ValueError("keyframes and observations do not agree")
    _check_ids(a)
    return a


def _table(rows: Iterable[Any], row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Rows as one C-contiguous array, of the right shape even when there are none."""
    rows = list(rows)
    return np.ascontiguousarray(np.array(rows, dtype).reshape(len(rows), *row_shape))


def _keyframe_arrays(m: SlamMap, cameras: Cameras) -> Arrays:
    k = m.keyframes
    return {
        "keyframe_frame_id": _table([x.frame_id for x in k], (), np.int64),
        "keyframe_timestamp_s": _table([x.timestamp_s for x in k], (), np.float64),
        "keyframe_camera": _table([cameras.number(x.camera) for x in k], (), np.int64),
        "keyframe_depth_camera": _table([cameras.number(x.depth_camera) for x in k], (), np.int64),
        "keyframe_component": _table([x.component_id for x in k], (), np.int64),
        "keyframe_R": _table([x.S_world_keyframe.R for x in k], (3, 3), np.float64),
        "keyframe_t": _table([x.S_world_keyframe.t for x in k], (3,), np.float64),
        "keyframe_s": _table([x.S_world_keyframe.s for x in k], (), np.float64),
        "observation_count": _table([len(seen.ids) for seen in m.observed], (), np.int64),
        "observation_landmark": np.concatenate([np.zeros(0, np.int64), *(seen.ids for seen in m.observed)]),
        "observation_px": np.concatenate([np.zeros((0, 2)), *(seen.pixels for seen in m.observed)]),
    }


def _landmark_arrays(m: SlamMap) -> Arrays:
    marks = m.landmarks
    return {
        "landmark_host": marks.host.copy(), "landmark_xyz": marks.xyz_host.copy(),
        "landmark_rel_sigma": marks.rel_sigma.copy(), "landmark_is_triangulated": marks.is_triangulated.copy(),
        "landmark_color": marks.color.copy(),
    }  # fmt: skip


def _world_arrays(m: SlamMap) -> Arrays:
    components = {k.component_id for k in m.keyframes}
    worlds = {c: world for c, world in sorted(m.worlds.items()) if c in components}
    return {
        "world_component": _table(worlds, (), np.int64),
        "world_known": _table([(w.is_metric, w.is_upright) for w in worlds.values()], (2,), np.bool_),
        "world_sigma": _table([(w.scale_rel_sigma, w.tilt_sigma_deg) for w in worlds.values()], (2,), np.float64),
    }


def _name_arrays(m: SlamMap) -> Arrays:
    names = [m.image_names.get(k.frame_id, "").encode("utf-8", "replace") for k in m.keyframes]
    return {
        "keyframe_name": np.frombuffer(b"".join(names), np.uint8).copy(),
        "keyframe_name_end": np.cumsum([len(name) for name in names], dtype=np.int64),
    }


def _read_names(a: Arrays) -> dict[int, str]:
    """The inverse of `_name_arrays`. Raises ValueError if the arrays do not agree."""
    text, ends = a["keyframe_name"].tobytes(), a["keyframe_name_end"]
    if len(ends) != len(a["keyframe_frame_id"]) or (np.diff(ends, prepend=0) < 0).any() or (
        len(text) != (ends[-1] if len(ends) else 0)
    ):  # fmt: skip
        raise ValueError("names and keyframes do not agree")
    begins = [0, *ends.tolist()]
    names = {frame_id: text[begin:end].decode("utf-8", "replace")
             for frame_id, begin, end in zip(a["keyframe_frame_id"].tolist(), begins, ends.tolist(), strict=False)}
    return {frame_id: name for frame_id, name in names.items() if name}


def _edge_arrays(edges: Sequence[Edge]) -> Arrays:
    return {
        "edge_ids": _table([(e.id_a, e.id_b) for e in edges], (2,), np.int64),
        "edge_R": _table([e.S_a_b.R for e in edges], (3, 3), np.float64),
        "edge_t": _table([e.S_a_b.t for e in edges], (3,), np.float64),
        "edge_s": _table([e.S_a_b.s for e in edges], (), np.float64),
        "edge_sigmas": _table([e.sigmas for e in edges], (7,), np.float64),
        "edge_kind": _table([EDGE_KINDS.index(e.kind) for e in edges], (), np.uint8),
        "edge_inlier_ratio": _table([e.inlier_ratio for e in edges], (), np.float64),
    }


def _frame_arrays(frames: FrameTable) -> Arrays:
    T, has_pose = frames.poses()
    covariance, has_covariance = frames.covariances()
    number = np.array([STATUSES.index(status) for status in frame_table.STATUSES], np.uint8)
    return {
        "frame_id": frames.column("frame_id"), "frame_timestamp_s": frames.column("timestamp_s"),
        "frame_status": number[frames.column("status")], "frame_ref": frames.column("ref_id").astype(np.int64),
        "frame_T": T, "frame_has_pose": has_pose, "frame_covariance": covariance,
        "frame_has_covariance": has_covariance, "frame_n_inliers": frames.column("n_inliers").astype(np.int64),
        "frame_inlier_ratio": frames.column("inlier_ratio"),
        "frame_component": frames.column("component_id").astype(np.int64),
        "frame_rotation_only": frames.column("rotation_only"),
    }  # fmt: skip


def fill(slam_map: SlamMap, a: Arrays, names: SessionNames) -> None:
    """Fill an empty map from the arrays. Raises ValueError, KeyError or IndexError if they do not agree."""
    _check_ids(a)
    _check_numbers(a)
    m = slam_map
    cameras = [None if i < 0 else read_cameras(a)[i] for i in a["session_camera"].tolist()]
    firsts = a["session_first_frame"].tolist()
    m.sessions = [Session(*row) for row in zip(names.names, names.began, firsts, cameras, strict=True)]
    m.image_names = _read_names(a)
    _fill_keyframes(m, a)
    ids = m.landmarks.add(0, a["landmark_xyz"], a["landmark_rel_sigma"], a["landmark_color"])
    m.landmarks.host[ids], m.landmarks.is_triangulated[ids] = a["landmark_host"], a["landmark_is_triangulated"]
    for i, (id_a, id_b) in enumerate(a["edge_ids"].tolist()):
        S = Sim3(a["edge_R"][i], a["edge_t"][i], float(a["edge_s"][i]))
        kind = EDGE_KINDS[int(a["edge_kind"][i])]
        m.edges[id_a, id_b] = Edge(id_a, id_b, S, a["edge_sigmas"][i], kind, float(a["edge_inlier_ratio"][i]))
    m.frames.extend(_read_frames(a))
    for i, component in enumerate(a["world_component"].tolist()):
        (is_metric, is_upright), (scale_sigma, tilt_sigma) = a["world_known"][i].tolist(), a["world_sigma"][i].tolist()
        m.worlds[component] = World(is_metric, scale_sigma, is_upright, tilt_sigma)
    m.place_codes.vocabulary = a["place_vocabulary"].copy()
    m.place_codes.codes.extend(a["place_code"])


def _fill_keyframes(m: SlamMap, a: Arrays) -> None:
    cameras = read_cameras(a)
    ends = np.cumsum(a["observation_count"])
    for k, frame_id in enumerate(a["keyframe_frame_id"].tolist()):
        S = Sim3(a["keyframe_R"][k], a["keyframe_t"][k], float(a["keyframe_s"][k]))
        depth_camera = int(a["keyframe_depth_camera"][k])
        keyframe = Keyframe(
            k, frame_id, float(a["keyframe_timestamp_s"][k]), _NO_IMAGE, cameras[int(a["keyframe_camera"][k])], S,
            int(a["keyframe_component"][k]), depth_camera=None if depth_camera < 0 else cameras[depth_camera],
        )  # fmt: skip
        seen = slice(int(ends[k] - a["observation_count"][k]), int(ends[k]))
        m.add_keyframe(
            PagedKeyframe.without_pictures(keyframe, m.pictures), a["observation_landmark"][seen].copy(),
            a["observation_px"][seen].copy(),
        )  # fmt: skip


def _read_frames(a: Arrays) -> Iterator[PoseEstimate]:
    for i, frame_id in enumerate(a["frame_id"].tolist()):
        yield PoseEstimate(
            frame_id, float(a["frame_timestamp_s"][i]), STATUSES[int(a["frame_status"][i])], int(a["frame_ref"][i]),
            a["frame_T"][i] if a["frame_has_pose"][i] else None,
            a["frame_covariance"][i] if a["frame_has_covariance"][i] else None,
            int(a["frame_n_inliers"][i]), float(a["frame_inlier_ratio"][i]), int(a["frame_component"][i]),
            bool(a["frame_rotation_only"][i]),
        )


FINITE = ("observation_px", "landmark_xyz", "keyframe_timestamp_s", "frame_timestamp_s")
NUMBERS = ("landmark_rel_sigma", "frame_inlier_ratio", "edge_inlier_ratio", "camera_removed_k1", "frame_covariance")
"""Arrays whose numbers have to be finite, and those that may be infinite; what is made of others checks them."""


def _check_numbers(a: Arrays) -> None:
    """Raises ValueError for what is no number: it would spread over a map with which this one is merged."""
    for name in FINITE + NUMBERS:
        wrong = ~np.isfinite(a[name]) if name in FINITE else np.isnan(a[name])
        if wrong.any():
            raise ValueError(f"{name} holds {int(wrong.sum())} numbers that are none")


def _check_ids(a: Arrays) -> None:
    """Raises ValueError when something names a keyframe, landmark or camera that does not exist."""
    n_keyframes, n_landmarks = len(a["keyframe_frame_id"]), len(a["landmark_host"])
    n_cameras = len(a["camera_intrinsics"])
    for name, low, high in (
        ("landmark_host", 0, n_keyframes), ("edge_ids", 0, n_keyframes), ("frame_ref", -1, n_keyframes),
        ("observation_landmark", 0, n_landmarks), ("keyframe_camera", 0, n_cameras),
        ("keyframe_depth_camera", -1, n_cameras), ("session_camera", -1, n_cameras), ("frame_status", 0, len(STATUSES)),
        ("edge_kind", 0, len(EDGE_KINDS)),
    ):  # fmt: skip
        if ((a[name] < low) | (a[name] >= high)).any():
            raise ValueError(f"{name} points outside the map")
    if ((a["camera_enlarged"] < 1) | (a["camera_enlarged"] > a["camera_size"].min(axis=1))).any():
        raise ValueError("a camera's images cannot have been enlarged so much")
    if (a["observation_count"] < 0).any() or (a["camera_n_distortion"] < 0).any():
        raise ValueError("a count is negative")
    if a["observation_count"].sum() != len(a["observation_landmark"]):
        raise ValueError("observation_count and observation_landmark do not agree")
    if len(a["place_code"]) > n_keyframes or a["place_code"].shape[1:] != (256,):
        raise ValueError("place codes and keyframes do not agree")
    if len(a["observation_px"]) != len(a["observation_landmark"]) or len(a["observation_count"]) != n_keyframes:
        raise ValueError("observations and keyframes do not agree")
