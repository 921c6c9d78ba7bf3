"""Scale from one known length: between two cameras, or between two things that pixels show."""

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.metric.measured import Scale, SessionView
from vgslam.metric.spec import FramesLength, Pixel, PointsLength
from vgslam.types import Array, Ids

NEAR_FRACTION = 0.01  # a landmark is meant by a pixel within this share of the image's width
NEIGHBOURS = 2
"""Keyframes before and after the pixel's own whose landmarks may be meant: those of others may be hidden there."""
MAX_REL_SIGMA = 0.1  # relative deviation of its depth up to which a landmark may carry a length
TAPE_REL_SIGMA = 0.01  # how well a length that people measured and the shape of the map between its two ends agree
MIN_SIGMAS = 3.0  # a length must be this many deviations long


def scale_of_frames(view: SessionView, spec: FramesLength) -> tuple[int, Scale]:
    """The component of the two frames and its scale. Raises InputError without a pose, in two components, hardly
    apart."""
    (a, T_a), (b, T_b) = view.posed_frame(spec.frame_a), view.posed_frame(spec.frame_b)
    names = f"frames {spec.frame_a} and {spec.frame_b}"
    component = _one_component(names, view.component_of(a), view.component_of(b))
    between = T_b[:3, 3] - T_a[:3, 3]
    variance = 0.0
    for frame, T in ((a, T_a), (b, T_b)):
        C = view.slam_map.covariance_of(frame)
        if C is not None:
            along = T[:3, :3].T @ _unit(between)
            variance += float(along @ C[3:, 3:] @ along)
    return component, _scale(names, spec.length_m, float(np.linalg.norm(between)), variance, "a length between frames")


def scale_of_points(view: SessionView, spec: PointsLength) -> tuple[int, Scale]:
    """The component of the two pixels' landmarks and its scale. Raises InputError without landmarks near, or hardly
    apart."""
    (component_a, point_a, sigma_a), (component_b, point_b, sigma_b) = (_shown(view, p) for p in (spec.a, spec.b))
    names = f"the points in frames {spec.a.frame} and {spec.b.frame}"
    component = _one_component(names, component_a, component_b)
    between = point_b - point_a
    variance = float((sigma_a @ _unit(between)) ** 2 + (sigma_b @ _unit(between)) ** 2)
    length = float(np.linalg.norm(between))
    return component, _scale(names, spec.length_m, length, variance, "a length between points")


def _one_component(names: str, a: int, b: int) -> int:
    if a != b:
        raise InputError(f"{names} lie in components {a} and {b}, which share no frame of reference; give two of one")
    return a


def _unit(v: Array) -> Array:
    return v / max(float(np.linalg.norm(v)), 1e-12)


def _scale(names: str, length_m: float, length: float, variance: float, method: str) -> Scale:
    if length <= max(MIN_SIGMAS * np.sqrt(variance), 1e-9):
        raise InputError(f"{names} are {length:.3g} +- {np.sqrt(variance):.2g} map units apart: too near to tell the "
                         "scale; give two that are further apart")  # fmt: skip
    rel = np.array([np.sqrt(variance) / length])
    return Scale.of(np.array([length_m / length]), method, rel, TAPE_REL_SIGMA)


def _shown(view: SessionView, pixel: Pixel) -> tuple[int, Array, Array]:
    """Component, position (3,) and deviation (3,), along the ray, of the landmark nearest to a pixel."""
    m = view.slam_map
    frame, T_world_cam = view.posed_frame(pixel.frame)
    camera, component = m.keyframes[frame.ref_id].camera.of_frames, view.component_of(frame)
    if not (0 <= pixel.u < camera.width and 0 <= pixel.v < camera.height):
        raise InputError(f"pixel {pixel.u:g},{pixel.v:g} lies outside the image of frame {pixel.frame} "
                         f"({camera.width}x{camera.height})")  # fmt: skip
    ids = _seen_around(view, frame.ref_id, component)
    local = se3.transform(se3.inverse(T_world_cam), m.landmarks_world(ids))
    ids, local = ids[local[:, 2] > 0], local[local[:, 2] > 0]
    at = np.array([pixel.u, pixel.v])
    distance = np.linalg.norm(camera.project(local) - at, axis=1) if len(ids) else np.array([np.inf])
    i, limit = int(distance.argmin()), max(3.0, NEAR_FRACTION * camera.width)
    if distance[i] > limit:
        raise InputError(
            f"frame {pixel.frame} shows no sure map point within {limit:.0f} px of {pixel.u:g},{pixel.v:g} (the "
            f"nearest is {distance[i]:.0f} px off); choose a corner that the map has"
        )
    point = m.landmarks_world(ids[i : i + 1])[0]
    ray = point - T_world_cam[:3, 3]
    return component, point, ray * m.landmarks.rel_sigma[ids[i]]


def _seen_around(view: SessionView, keyframe_id: int, component: int) -> Ids:
    """Sure landmarks of the component that a keyframe or one near it in time sees."""
    m = view.slam_map
    near = range(max(0, keyframe_id - NEIGHBOURS), min(len(m.keyframes), keyframe_id + NEIGHBOURS + 1))
    seen = [m.observed[k].ids for k in near if m.keyframes[k].component_id == component]
    ids = np.unique(np.concatenate([np.zeros(0, np.int64), *seen]))
    return ids[m.landmarks.is_triangulated[ids] & (m.landmarks.rel_sigma[ids] < MAX_REL_SIGMA)]
