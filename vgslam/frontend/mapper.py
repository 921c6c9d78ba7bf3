"""What a new keyframe brings to the map: triangulation, bundle adjustment of the newest ones, edges, new corners."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from vgslam.config import ABOVE_ZERO
from vgslam.frontend.features import Pixels
from vgslam.frontend.guessed import lacks_depth, shared_with_earlier
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.link import link
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, View
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.geometry.plane_distances import squared_distances
from vgslam.geometry.sim3 import Sim3
from vgslam.map.paged_keyframe import KeyframeImages
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.bundle import BundleProblem, BundleResult, bundle_adjust
from vgslam.types import Array, Edge, EdgeKind, Float32, Ids, Keyframe, WindowInput, WindowPrediction

LEAST_EDGE, EDGE_SIGMA = 1e-3, 1e-4
"""Least length of a graph edge, and what its deviation has beside its share of the length, in map units: a camera that
only turns has edges without length."""
N_NEIGHBOURS = 5
"""Landmarks nearby whose median depth a corner is guessed to have; with fewer nothing is guessed."""
MIN_SHARED = 8
"""Least landmarks that two keyframes share in bundle adjustment: more than the three that tie their poses."""
MIN_ADJUSTED = 20
"""Least landmarks of a bundle adjustment."""
LOST_FACTOR = 4
"""A landmark with any error above this multiple of max_residual_px is not where it was thought to be."""
SETTLING_ITERATIONS = 20
"""Iterations of bundle adjustment of geometry that was found anew, which is farther off than that of one more keyframe.
"""
REL_SIGMA_RANGE = (0.003, 0.5)
"""Least and largest relative deviation of depth after bundle adjustment, which knows of the noise of pixels alone."""


@dataclass(frozen=True)
class MapperConfig:
    """When a keyframe is due, and how the newest ones are adjusted."""

    min_parallax_px: float = 20.0
    """A keyframe is due at this median motion since the last one, in px."""
    min_shared: float = 0.6
    """A keyframe is due when a smaller share of the last one's landmarks is still followed."""
    window: int = 6
    """Keyframes in bundle adjustment."""
    n_old: int = 2
    """Keyframes of an earlier visit beside them, where the camera has come back."""
    n_fixed: Annotated[int, ABOVE_ZERO] = 3
    """Keyframes of the window that are held still and so fix its place and scale."""
    n_linked: int = 3
    """Earlier keyframes that a new one gets graph edges to."""
    max_residual_px: float = 2.5
    """An observation that disagrees by more is dropped, in px."""
    max_iterations: int = 4
    """Iterations of bundle adjustment."""
    huber_px: Annotated[float, ABOVE_ZERO] = 1.0
    """Residual from which observations count less in bundle adjustment, in px."""
    tolerance: float = 1e-3
    """Relative decrease of the cost at which bundle adjustment stops."""
    guess_rel_sigma: Annotated[float, ABOVE_ZERO] = 0.5
    """Relative standard deviation of a guessed depth."""
    dense_every: int = 6
    """Keyframes from one dense depth map to the next; 0 makes none."""
    min_depth_confidence: float = 0.5
    """Least confidence (0 to 1) of a dense depth that replaces a guess."""
    depth_rel_sigma: Annotated[float, ABOVE_ZERO] = 0.15
    """Relative standard deviation of a dense depth."""
    edge_sigmas: Annotated[tuple[float, float, float], ABOVE_ZERO] = (0.01, 0.1, 0.05)
    """Standard deviations of a graph edge: rotation (rad), position (share of the edge's length), log-scale. More than
    an edge's own error: the edges of a keyframe share their errors, and windows drift together."""


class Mapper:
    """Adds keyframes to the map and keeps the window around the newest one adjusted."""

    def __init__(self, slam_map: SlamMap, tracker: Tracker, sfm: WindowSfm, config: MapperConfig) -> None:
        self.map, self.tracker, self.sfm, self.config = slam_map, tracker, sfm, config
        self.camera = tracker.camera

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration of the same camera."""
        self.camera = camera

    def take_tracker(self, tracker: Tracker) -> None:
        """Look for corners and follow them with this tracker from now on."""
        self.tracker = tracker

    def add_keyframe(
        self, view: View, T_world_cam: Array, ids: Ids, pixels: Pixels, component_id: int
    ) -> tuple[Ids, Pixels]:
        """Add a keyframe that sees landmarks ids (n,) at pixels (n,2); triangulate and adjust it together with the
        keyframes around it, and find new corners. Returns the landmarks, and their pixels, to follow from here."""
        m = self.map
        k = len(m.keyframes)
        keyframe = Keyframe(
            k, view.frame_id, view.timestamp_s, view.image, self.camera, Sim3.from_T(T_world_cam), component_id
        )
        m.add_keyframe(keyframe, ids, pixels)
        recent = self.recent(k)
        self._triangulate(recent)
        if not lacks_depth(m, shared_with_earlier(m, k)):
            self.adjust(recent)  # not with few measured landmarks: they would outvote those that hold the rotation
        self.link_edges(recent)
        ids, px64 = m.observed[k]
        px = px64.astype(np.float32)
        new_ids, new_px = self.add_corners(view, k, px)
        return np.concatenate([ids, new_ids]), np.concatenate([px, new_px])

    def _triangulate(self, recent: Ids) -> None:
        """Put what the window's tracks determine into the map: landmarks, and dense depth where it is due."""
        m = self.map
        window = self._window(recent)
        prediction = self.sfm.predict(window)
        if prediction is None:
            return
        T_world_first = m.T_world_keyframes(recent[:1])[0]
        S_world_window = link(prediction, window, T_world_first)
        ids = prediction.landmark_ids
        m.set_landmarks_world(ids, S_world_window.apply(prediction.landmarks))
        m.landmarks.is_triangulated[ids] = True
        m.landmarks.rel_sigma[ids] = prediction.landmark_rel_sigma
        for n, k in enumerate(recent):
            if prediction.confidence[n].any():
                self.take_depth(int(k), prediction, n, S_world_window.s)

    def take_depth(self, k: int, prediction: WindowPrediction, n: int, scale: float) -> None:
        """Keep the dense depth of window image n as keyframe k's; it replaces guessed depths of landmarks that k saw
        first. scale: world units per window unit."""
        m = self.map
        keyframe = m.keyframes[k]
        local_scale = np.float32(scale / keyframe.S_world_keyframe.s)
        dense = prediction.depth[n] * local_scale
        keep_depth(keyframe, dense, prediction.confidence[n], prediction.cameras[n], self.tracker.mask)
        ids, px = m.observed[k]
        guessed = ~m.landmarks.is_triangulated[ids] & (m.landmarks.host[ids] == k)
        ids, px = ids[guessed], px[guessed]
        v, u = self.camera.cell_at(px, prediction.depth[n].shape)
        depth, confidence = (prediction.depth[n][v, u] * local_scale).astype(np.float64), prediction.confidence[n][v, u]
        known = (depth > 0) & (confidence > self.config.min_depth_confidence)
        ids = ids[known]
        m.landmarks.xyz_host[ids] = self.camera.rays(px[known]) * depth[known, None]
        m.landmarks.rel_sigma[ids] = np.minimum(m.landmarks.rel_sigma[ids], self.config.depth_rel_sigma)

    def tracks_of(self, window: Ids) -> WindowInput:
        """Keyframes with their tracks alone: nothing else that the map knows."""
        m = self.map
        frame, ids, px = self.observations(window)
        return WindowInput(
            np.array([m.keyframes[i].frame_id for i in window]), self._images(window), self.camera,
            frame, ids, px,
        )  # fmt: skip

    def _images(self, window: Ids) -> KeyframeImages:
        return KeyframeImages([self.map.keyframes[i] for i in window])

    def settle(self, window: Ids, linked: Ids) -> None:
        """Triangulate and adjust keyframes whose geometry was found anew, with the first held, and make the edges of
        the keyframes `linked` anew."""
        self._triangulate(window)
        self.adjust(window, n_fixed=1, max_iterations=SETTLING_ITERATIONS)
        self.link_edges(linked)

    def _window(self, recent: Ids) -> WindowInput:
        """The keyframes with their tracks and what the map knows, in the frame of the first."""
        m = self.map
        frame, ids, px = self.observations(recent)
        T_world = m.T_world_keyframes(recent)
        T_first_world = se3.inverse(T_world[0])
        known = np.unique(ids[m.landmarks.is_triangulated[ids]])
        return WindowInput(
            np.array([m.keyframes[i].frame_id for i in recent]), self._images(recent), self.camera,
            frame, ids, px, T_first_world @ T_world, known, se3.transform(T_first_world, m.landmarks_world(known)),
            self._dense_due(recent),
        )  # fmt: skip

    def _dense_due(self, recent: Ids) -> tuple[int, ...]:
        """The middle of the window, if it is its turn to get dense depth and it has none."""
        every, middle = self.config.dense_every, len(recent) // 2
        is_due = len(recent) >= 4 and every > 0 and recent[-1] % every == 0
        return (middle,) if is_due and self.map.keyframes[recent[middle]].depth is None else ()

    def link_edges(self, recent: Ids) -> None:
        """Make the window's relative poses edges of the graph, in place of those from older windows."""
        m = self.map
        for i, b in enumerate(recent.tolist()):
            for a in recent[max(0, i - self.config.n_linked) : i].tolist():
                S = m.keyframes[a].S_world_keyframe.inverse() @ m.keyframes[b].S_world_keyframe
                length = max(float(np.linalg.norm(S.t)), LEAST_EDGE)
                sigma_R, share, sigma_s = self.config.edge_sigmas
                sigmas = np.array([sigma_R] * 3 + [share * length + EDGE_SIGMA] * 3 + [sigma_s])
                kind = EdgeKind.ODOMETRY if b - a <= self.config.window else EdgeKind.RELOC
                m.edges[(a, b)] = Edge(a, b, S, sigmas, kind)

    def add_corners(self, view: View, k: int, existing: Pixels) -> tuple[Ids, Pixels]:
        """Find corners in the parts of keyframe k that have none; their depth is guessed from their neighbours'."""
        pixels = self.tracker.detect(view, existing)
        if len(pixels) == 0:
            return np.zeros(0, np.int64), pixels
        depth, rel_sigma = self._guess_depth(k, pixels)
        u, v = pixels.round().astype(int).T
        ids = self.map.landmarks.add(k, self.camera.rays(pixels) * depth[:, None], rel_sigma, view.image[v, u])
        self.map.observe(k, ids, pixels.astype(np.float64))
        return ids, pixels

    def _guess_depth(self, k: int, pixels: Pixels) -> tuple[Array, Array]:
        """Depth (N,) at pixels (N,2), in keyframe units, and its relative deviation (N,): from the median inverse depth
        of the N_NEIGHBOURS nearest known landmarks in the image."""
        m = self.map
        ids, px = m.observed[k]
        known = m.landmarks.is_triangulated[ids]
        if known.sum() < N_NEIGHBOURS:
            known = np.ones(len(ids), bool)
        S = m.keyframes[k].S_world_keyframe
        local = S.inverse().apply(m.landmarks_world(ids[known]))
        ahead = local[:, 2] > MIN_DEPTH
        z, at = local[ahead, 2], px[known][ahead]
        if len(z) < N_NEIGHBOURS:
            return np.ones(len(pixels)), np.full(len(pixels), self.config.guess_rel_sigma)
        distance = squared_distances(pixels, at)
        nearest = np.argpartition(distance, N_NEIGHBOURS - 1, axis=1)[:, :N_NEIGHBOURS]
        inverse = 1.0 / z[nearest]
        middle = np.median(inverse, axis=1)
        spread = inverse.std(axis=1) / middle
        return 1.0 / middle, np.maximum(self.config.guess_rel_sigma, np.minimum(spread, 1.0))

    def recent(self, k: int) -> Ids:
        """The keyframes to adjust together with k, in ascending order: the newest that share landmarks with those
        already taken. Candidates are the last keyframes and, after a recovery, those that first saw what k sees."""
        m = self.map
        hosts = np.unique(m.landmarks.host[m.observed[k].ids])
        pool = np.union1d(hosts[hosts < k], np.arange(max(0, k - self.config.window + 1), k))
        old = self._old(k, hosts)
        taken, seen = [k, *old], m.observed[k].ids
        for j in pool[::-1]:
            if len(taken) == self.config.window + len(old):
                break
            if j in taken or m.keyframes[j].component_id != m.keyframes[k].component_id:
                continue
            if np.isin(m.observed[j].ids, seen, kind="table").sum() >= MIN_SHARED:
                taken.append(int(j))
                seen = np.union1d(seen, m.observed[j].ids)
        return np.array(sorted(taken))

    def _old(self, k: int, hosts: Ids) -> list[int]:
        """The keyframes of an earlier visit that share most landmarks with k."""
        m, c = self.map, self.config
        centre, component = m.centres(np.array([k]))[0], m.keyframes[k].component_id
        old = [j for j in hosts[hosts < k - 2 * c.window].tolist() if m.keyframes[j].component_id == component]
        candidates, mine = np.array(old, np.int64), m.observed[k].ids
        revisits = candidates[m.are_revisits(candidates, centre)].tolist()
        shared = {j: int(np.isin(m.observed[j].ids, mine, kind="table").sum()) for j in revisits}
        best = sorted((j for j in shared if shared[j] >= MIN_SHARED), key=lambda j: -shared[j])
        return best[: c.n_old]

    def observations(self, window: npt.ArrayLike) -> tuple[Ids, Ids, Array]:
        """(window index (M,), landmark id (M,), pixels (M,2)) of all observations in the window's keyframes."""
        m = self.map
        w = np.asarray(window)
        seen = [m.observed[i] for i in w]
        frame = np.concatenate([np.full(len(s.ids), n) for n, s in enumerate(seen)])
        ids = np.concatenate([s.ids for s in seen])
        px = np.concatenate([s.pixels for s in seen])
        return frame, ids, px

    def adjust(
        self, window: Ids, n_fixed: int | None = None, max_iterations: int | None = None
    ) -> BundleResult | None:
        """Bundle adjustment of the window's keyframes and their triangulated landmarks; what does not fit is removed.
        None, and nothing happens, if too little is triangulated. n_fixed: the oldest keyframes, which are held still
        and so fix place and scale; it and max_iterations are those of the settings by default."""
        m, c = self.map, self.config
        frame, ids, px = self.observations(window)
        usable = m.landmarks.is_triangulated[ids]
        frame, ids, px = frame[usable], ids[usable], px[usable]
        _, index, count = np.unique(ids, return_inverse=True, return_counts=True)
        keep = (count >= 2)[index]
        frame, px = frame[keep], px[keep]
        unique, index = np.unique(ids[keep], return_inverse=True)
        if len(unique) < MIN_ADJUSTED or len(window) < 2:
            return None
        is_fixed = np.arange(len(window)) < min(n_fixed or c.n_fixed, len(window) - 1)
        T_cw = se3.inverse(m.T_world_keyframes(window))
        problem = BundleProblem(self.camera, T_cw, is_fixed, m.landmarks_world(unique), frame, index, px)
        result = bundle_adjust(problem, max_iterations or c.max_iterations, c.huber_px, c.tolerance)
        T_wc = se3.inverse(result.T_cam_world)
        for n in np.flatnonzero(~is_fixed):
            S = m.keyframes[window[n]].S_world_keyframe
            m.set_pose(int(window[n]), Sim3.from_T(T_wc[n], S.s))
        m.set_landmarks_world(unique, result.landmarks)
        self._update_depth_sigma(unique, result)
        self._forget_outliers(window, frame, unique, index, result)
        return result

    def _forget_outliers(self, window: Ids, frame: Ids, unique: Ids, index: Ids, result: BundleResult) -> None:
        """Drop observations that do not fit; a landmark that is far off in any view is a guess again."""
        m, c = self.map, self.config
        bad = result.residual_px > c.max_residual_px
        for n in np.unique(frame[bad]):
            m.unobserve(int(window[n]), unique[index[bad & (frame == n)]])
        worst = np.zeros(len(unique))
        np.maximum.at(worst, index, np.where(np.isfinite(result.residual_px), result.residual_px, 1e3))
        lost = worst > LOST_FACTOR * c.max_residual_px
        m.landmarks.is_triangulated[unique[lost]] = False
        m.landmarks.rel_sigma[unique[lost]] = c.guess_rel_sigma

    def _update_depth_sigma(self, unique: Ids, result: BundleResult) -> None:
        """Relative depth deviation along the host's ray, from the window's information on each landmark."""
        m = self.map
        ray = result.landmarks - m.centres(m.landmarks.host[unique])
        length = np.maximum(np.linalg.norm(ray, axis=1), 1e-9)
        ray /= length[:, None]
        along = np.einsum("li,lij,lj->l", ray, result.landmark_information, ray)
        m.landmarks.rel_sigma[unique] = np.clip(1.0 / np.sqrt(np.maximum(along, 1e-12)) / length, *REL_SIGMA_RANGE)


def keep_depth(keyframe: Keyframe, depth: Float32, confidence: Float32, camera: Camera, mask: ImageMask) -> None:
    """Dense depth (h,w), in units of the keyframe, with its confidence (h,w) and its camera becomes the keyframe's."""
    keyframe.depth = depth
    keyframe.confidence = np.where(mask.ignored(confidence.shape), np.float32(0.0), confidence)
    keyframe.depth_camera = camera
