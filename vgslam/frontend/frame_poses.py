"""The last word on the frames between keyframes: they follow the final landmarks, or the keyframes on both sides.

During a run a frame has its pose relative to the keyframe before it. Later both keyframes around it move, each its own
way, and the frames stay with the first: the trajectory is a sawtooth. At the end each frame's own observations decide
again, against the landmarks as they are then. The keyframes' poses are computed from what they saw in the same way, and
what these differ from where the keyframes are is taken out of the frames between them: the map may contradict itself a
little. Where observations are too few, the correction that the two keyframes got since they were tracked is spread over
the frames between them. Both corrections are motions of constant speed over time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgslam.frontend.guessed import MIN_MEASURED_SHARE
from vgslam.frontend.tracker import MIN_VOTERS, TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.powers import powers
from vgslam.geometry.radial import radial_since, with_radial, without_radial
from vgslam.geometry.sim3 import Sim3
from vgslam.map.frame_observations import FrameBlock, FrameObservations, padded
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pose_batch import PoseBatch, adjust_poses, camera_poses
from vgslam.types import Array, Ids, PoseEstimate

MAX_OFFSET_D2 = 30.0
"""Squared distance, in deviations, between where a keyframe is and where its own observations put it, up to which the
frames beside it follow the landmarks: 6 where the map agrees with itself, and hundreds after tracking alone, whose
windows have left the landmarks of old keyframes behind."""


@dataclass(frozen=True)
class FrameFit:
    """Where a frame's observations put it."""

    T_world_cam: Array
    """(4,4)."""
    covariance: Array
    """(6,6), as in `PoseFit`."""


@dataclass(frozen=True)
class Segment:
    """Frames between two keyframes, or after the last."""

    first: int  # the keyframe before them
    has_second: bool  # whether one comes after them
    rows: Ids  # (n,): their rows among the map's frames
    share: Array  # (n,): how far each is on the way, in time, 0 to 1


class FramePoses:
    """Keeps what the frames of a run saw, and gives each its final pose. camera: that of the recorded pixels. is_kept:
    False for a run that leaves frames as they were tracked."""

    def __init__(self, slam_map: SlamMap, camera: Camera, config: TrackerConfig, is_kept: bool = True) -> None:
        self.map, self.config, self.is_kept = slam_map, config, is_kept
        self._cameras = [(-1, camera)]  # each with the id of the frame from whose successor on its pixels are recorded
        self.seen = FrameObservations()
        self._first_row = len(slam_map.frames)
        self._first_keyframe = len(slam_map.keyframes)
        self._links: dict[int, Sim3] = {}
        self._fits: dict[int, FrameFit] = {}

    def saw(self, observations: Iterable[tuple[int, Ids, npt.NDArray]]) -> None:
        """Frames by their ids, the landmarks (n,) that each saw, and where in its image (n,2)."""
        if self.is_kept:
            for frame_id, ids, pixels in observations:
                self.seen.add(frame_id, ids, pixels)

    def take_camera(self, camera: Camera) -> None:
        """What the frames after the newest keyframe saw is recorded in pixels of another calibration."""
        self._cameras.append((self.map.keyframes[-1].frame_id, camera))

    def link(self, keyframe_id: int, tracked: PoseEstimate) -> None:
        """A frame has become a keyframe; tracked: its pose relative to the one before, as nothing was adjusted yet."""
        if tracked.T_ref_cam is not None and tracked.ref_id == keyframe_id - 1:
            self._links[keyframe_id] = Sim3.from_T(tracked.T_ref_cam)

    def take_over(self) -> None:
        """All frames of the map belong to this run, and lie right between the keyframes as these are now: what moves
        keyframes later is spread over them. For a map that was put together from others."""
        k = self.map.keyframes
        self._first_row = self._first_keyframe = 0
        for n in range(1, len(k)):
            if k[n].component_id == k[n - 1].component_id:
                self._links[n] = k[n - 1].S_world_keyframe.inverse() @ k[n].S_world_keyframe

    def finish(self) -> int:
        """Give every frame of the run that is not a keyframe its final pose; returns how many follow the landmarks.
        Frames that had a rotation only have a whole pose from then on, if the depth of what they saw was measured."""
        segments = self._segments(self._see_depth())
        for segment in segments:
            self._follow_keyframes(segment)
        for k in self._links:  # what was spread is not spread again
            a, b = self.map.keyframes[k - 1], self.map.keyframes[k]
            self._links[k] = a.S_world_keyframe.inverse() @ b.S_world_keyframe
        self._fits = {}
        self._fit({k.frame_id for k in self.map.keyframes[self._first_keyframe :]})
        agree = [s for s in segments if self._offsets(s) is not None]
        self._fit({self.map.frames[row].frame_id for s in agree for row in s.rows.tolist()})
        n = sum(self._follow_landmarks(segment) for segment in agree)
        self._fits = {}
        return n

    def _see_depth(self) -> set[int]:
        """The frames, by their ids, that see enough landmarks of measured depth to know their position."""
        m, found = self.map, set()
        for block in self.seen.blocks():
            known = np.concatenate([[0], np.cumsum(m.landmarks.is_triangulated[block.ids.astype(np.int64)])])
            n = known[block.begins[1:]] - known[block.begins[:-1]]
            share = n / np.maximum(np.diff(block.begins), 1)
            found |= set(block.frame_ids[(n >= MIN_VOTERS) & (share >= MIN_MEASURED_SHARE)].tolist())
        return found

    def _segments(self, see_depth: set[int]) -> list[Segment]:
        """The frames of the run with a whole pose, or that see depth by now, that are no keyframes; others that have a
        rotation only stay as they are."""
        m = self.map
        keyframes = {k.frame_id for k in m.keyframes[self._first_keyframe :]}
        rows: dict[int, list[int]] = {}
        for row in range(self._first_row, len(m.frames)):
            e = m.frames[row]
            is_known = not e.rotation_only or e.frame_id in see_depth
            if e.T_ref_cam is not None and is_known and e.frame_id not in keyframes:
                rows.setdefault(e.ref_id, []).append(row)
        return [self._segment(a, np.array(of)) for a, of in rows.items()]

    def _segment(self, a: int, rows: Ids) -> Segment:
        k = self.map.keyframes
        has_second = a + 1 in self._links and k[a].component_id == k[a + 1].component_id
        times = np.array([self.map.frames[int(row)].timestamp_s for row in rows])
        duration = k[a + 1].timestamp_s - k[a].timestamp_s if has_second else np.inf
        return Segment(a, has_second, rows, np.clip((times - k[a].timestamp_s) / duration, 0.0, 1.0))

    # -- following the keyframes

    def _follow_keyframes(self, segment: Segment) -> None:
        """Spread the correction that takes the tracked second keyframe to where it is now, C = S_a^-1 S_b T_ab^-1, over
        the frames: C^x with x from 0 at the first keyframe to 1 at the second."""
        if not segment.has_second:
            return
        m, a = self.map, segment.first
        S_a_b = m.keyframes[a].S_world_keyframe.inverse() @ m.keyframes[a + 1].S_world_keyframe
        R, t, s = powers(S_a_b @ self._links[a + 1].inverse(), segment.share)
        before = [m.frames[row] for row in segment.rows.tolist()]
        T = np.stack([e.T_ref_cam for e in before if e.T_ref_cam is not None])
        moved = T.copy()
        moved[:, :3, :3] = np.matmul(R, T[:, :3, :3])
        moved[:, :3, 3] = s[:, None] * np.matmul(R, T[:, :3, 3:])[:, :, 0] + t
        more = _bridge(T, moved, segment.share)
        for n, (row, e) in enumerate(zip(segment.rows.tolist(), before, strict=True)):
            covariance = None if e.covariance is None else e.covariance + more[n]
            m.frames[row] = replace(e, T_ref_cam=moved[n], covariance=covariance)

    # -- following the landmarks

    def _follow_landmarks(self, segment: Segment) -> int:
        """Frames where their observations put them, less what these get wrong at the keyframes on both sides."""
        m, offsets = self.map, self._offsets(segment)
        rows = [(n, row) for n, row in enumerate(segment.rows.tolist()) if m.frames[row].frame_id in self._fits]
        if offsets is None or not rows:
            return 0
        share = segment.share[[n for n, _ in rows]]
        fits = [self._fits[m.frames[row].frame_id] for _, row in rows]
        start, end = offsets
        R, t, _ = powers(Sim3.from_T(se3.inverse(start) @ end), share)
        part = np.tile(np.eye(4), (len(rows), 1, 1))
        part[:, :3, :3], part[:, :3, 3] = R, t
        seen = np.stack([fit.T_world_cam for fit in fits]) @ start
        T = seen @ part
        more = _bridge(seen, T, share)
        for n, (_, row) in enumerate(rows):
            k = segment.first + int(segment.has_second and share[n] > 0.5)
            m.frames[row] = replace(
                m.frames[row], ref_id=k, T_ref_cam=m.relative_to(k, T[n]),
                covariance=m.covariance_relative_to(k, fits[n].covariance + more[n]), rotation_only=False,
            )  # fmt: skip
        return len(rows)

    def _offsets(self, segment: Segment) -> tuple[Array, Array] | None:
        """The offsets (4,4) of the keyframes on both sides; after the last keyframe its own twice. None where the map
        contradicts itself."""
        start = self._offset(segment.first)
        end = self._offset(segment.first + 1) if segment.has_second else start
        return None if start is None or end is None else (start, end)

    def _offset(self, keyframe_id: int) -> Array | None:
        """The motion (4,4) from where its observations put a keyframe to where it is, in its own axes; None if they do
        not say, or contradict the map."""
        keyframe = self.map.keyframes[keyframe_id]
        fit = self._fits.get(keyframe.frame_id)
        if fit is None:
            return None
        T = se3.inverse(fit.T_world_cam) @ keyframe.S_world_keyframe.pose
        xi = se3.log(T)
        return T if float(xi @ np.linalg.solve(fit.covariance, xi)) < MAX_OFFSET_D2 else None

    def _blocks(self) -> Iterator[FrameBlock]:
        """What all frames saw, with the keyframes of which nothing was kept while tracking: they come from elsewhere, a
        relocalization or the start of a component."""
        known: set[int] = set()
        for block in self.seen.blocks():
            known.update(block.frame_ids.tolist())
            yield block
        missing = FrameObservations()
        for k in range(self._first_keyframe, len(self.map.keyframes)):
            frame_id = self.map.keyframes[k].frame_id
            if frame_id not in known:
                seen = self.map.observed[k]
                missing.add(frame_id, seen.ids, self._recorded_pixels(k, seen.pixels))
        yield from missing.blocks()

    def _fit(self, wanted: set[int]) -> None:
        """Compute the poses of frames, by their ids, from what they saw."""
        first_row, first_id = self._first_row, self.map.frames[self._first_row].frame_id if wanted else 0
        for block in self._blocks():
            keep = np.array([i in wanted for i in block.frame_ids.tolist()]) & (np.diff(block.begins) > 0)
            rows = first_row + block.frame_ids[keep] - first_id
            chosen = [self.map.frames[row] for row in rows.tolist()]
            has_pose = [e.T_ref_cam is not None for e in chosen]
            keep[keep] = has_pose
            if keep.any():
                self._fit_block(block, keep, [e for e in chosen if e.T_ref_cam is not None])

    def _fit_block(self, block: FrameBlock, keep: npt.NDArray[np.bool_], chosen: list[PoseEstimate]) -> None:
        c = self.config
        batch = self._batch(block, keep, chosen)
        fit = adjust_poses(batch, c.sigma_px, c.gate)
        T_world_cam = camera_poses(fit.T_cam_world)
        n, total = fit.is_inlier.sum(1), batch.is_seen.sum(1)
        is_good = (n >= c.min_inliers) & (n >= c.min_inlier_ratio * total)
        is_good &= np.isfinite(T_world_cam).all((1, 2)) & np.isfinite(fit.covariance).all((1, 2))
        for i, e in enumerate(chosen):
            self._fits.pop(e.frame_id, None)
            if is_good[i]:
                self._fits[e.frame_id] = FrameFit(T_world_cam[i], fit.covariance[i])

    def _batch(self, block: FrameBlock, keep: npt.NDArray[np.bool_], chosen: list[PoseEstimate]) -> PoseBatch:
        """The chosen frames and their observations."""
        m = self.map
        counts = np.diff(block.begins)
        mask = np.repeat(keep, counts)
        counts = counts[keep]
        begins, width = np.concatenate([[0], np.cumsum(counts)]), int(counts.max())
        ids = block.ids[mask].astype(np.int64)
        landmarks, host = m.landmarks_world(ids), m.landmarks.host[ids]
        component = np.array([k.component_id for k in m.keyframes], np.int64)
        same = component[host] == np.repeat([e.component_id for e in chosen], counts)
        cameras = [m.keyframes[e.ref_id].camera for e in chosen]
        recorded = [self._recorded_by(e.frame_id) for e in chosen]
        pixels = self._pixels_now(cameras, recorded, counts, block.pixels[mask].astype(np.float64))
        T_world_cam = np.stack([T for T in map(m.pose_of, chosen) if T is not None])
        return PoseBatch(
            se3.inverse(T_world_cam), np.array([[c.fx, c.fy] for c in cameras]),
            np.array([[c.cx, c.cy] for c in cameras]), padded(landmarks, begins, width),
            padded(landmarks - m.centres(host), begins, width), padded(m.landmarks.rel_sigma[ids], begins, width),
            padded(pixels, begins, width), padded(same, begins, width),
        )  # fmt: skip

    def _recorded_by(self, frame_id: int) -> Camera:
        """The camera of the pixels that were recorded of a frame."""
        return next(camera for after, camera in reversed(self._cameras) if frame_id > after)

    def _pixels_now(self, cameras: list[Camera], recorded: list[Camera], counts: Ids, pixels: Array) -> Array:
        """Pixels (M,2) as recorded by those cameras -> as the keyframes' cameras have them now: distortion may have
        been found and taken out since."""
        out = pixels.copy()
        begins = np.concatenate([[0], np.cumsum(counts)])
        for i, camera in enumerate(cameras):
            part = slice(begins[i], begins[i + 1])
            out[part] = without_radial(camera, radial_since(camera, recorded[i]), pixels[part])
        return out

    def _recorded_pixels(self, keyframe_id: int, pixels: Array) -> Array:
        """Pixels (n,2) of a keyframe as they were recorded, from those that it has now."""
        keyframe = self.map.keyframes[keyframe_id]
        before = self._recorded_by(keyframe.frame_id)
        return with_radial(keyframe.camera, radial_since(keyframe.camera, before), pixels)


def _bridge(T_before: Array, T_after: Array, share: Array) -> Array:
    """Variance (n,6,6) of corrections of which a share x (n,) was applied. How one came about between the two ends is
    not known: as with a random walk that is held at both, its variance is x (1 - x) times its square."""
    d = se3.inverse(T_before) @ T_after
    R = d[:, :3, :3]
    w = 0.5 * np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    xi = np.concatenate([w, d[:, :3, 3]], axis=1) / np.maximum(share, 1e-3)[:, None]
    return np.asarray((share * (1.0 - share))[:, None, None] * xi[:, :, None] * xi[:, None, :])
