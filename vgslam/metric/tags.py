"""Scale from ArUco markers or AprilTags of known size: corners in several keyframes, triangulated, and their edges."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import ConfigError, InputError
from vgslam.geometry import se3
from vgslam.metric.measured import Scale, SessionView
from vgslam.metric.spec import Tags
from vgslam.multiview.triangulate import triangulate
from vgslam.types import Array, Keyframe

MIN_ANGLE_DEG = 2.0  # least angle between two rays to a corner: below it, half a pixel is a tenth of the depth
MAX_RESIDUAL_PX = 2.0  # largest reprojection error of a corner: above it, two markers have one number, or it moved
MAX_UNEVEN = 0.15
"""Largest difference of the edges of one marker, relative to their mean; all are the same length in truth."""
MIN_EDGE_PX = 12.0  # smaller markers are hardly read, and their corners are too vague
PRINT_REL_SIGMA = 0.003  # how well printed edges are known
CORNER_BIAS_PX = 0.4  # blurred corners are found too far inside, both ends of an edge together by about this much


@dataclass(frozen=True)
class TagSighting:
    """One marker in one keyframe."""

    number: int
    keyframe: Keyframe
    corners: Array  # (4,2) px, clockwise from the marker's own top left


def detector(dictionary: str) -> cv2.aruco.ArucoDetector:
    """Raises ConfigError for a dictionary that OpenCV does not have."""
    names = {n.removeprefix("DICT_").lower(): n for n in dir(cv2.aruco) if n.startswith("DICT_")}
    name = names.get(dictionary.lower())
    if name is None:
        raise ConfigError(f"aruco dictionary '{dictionary}' is unknown; OpenCV has {', '.join(sorted(names))}")
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    return cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name)), parameters)


def find_tags(keyframes: list[Keyframe], dictionary: str) -> list[TagSighting]:
    """All markers of a dictionary in the images of keyframes. Raises ConfigError for an unknown dictionary."""
    found, finder = [], detector(dictionary)
    for keyframe in keyframes:
        corners, numbers, _ = finder.detectMarkers(cv2.cvtColor(keyframe.image, cv2.COLOR_RGB2GRAY))
        for quad, number in zip(corners, [] if numbers is None else np.ravel(numbers), strict=True):
            px = np.asarray(quad, np.float64).reshape(4, 2)
            if _edges(px).min() >= MIN_EDGE_PX:
                found.append(TagSighting(int(number), keyframe, px))
    return found


def scales_of_tags(view: SessionView, spec: Tags) -> dict[int, Scale]:
    """Scale by component, from the markers that the session's keyframes show. Raises InputError when no marker is seen,
    or none from two directions; ConfigError for an unknown dictionary."""
    sightings = find_tags(view.keyframes(), spec.dictionary)
    if not sightings:
        raise InputError(f"no marker of {spec.dictionary} is seen in {len(view.keyframes())} keyframes; check the "
                         f"dictionary, and that it fills at least {MIN_EDGE_PX:g} px")  # fmt: skip
    by_tag: dict[tuple[int, int], list[TagSighting]] = defaultdict(list)
    for s in sightings:
        by_tag[s.keyframe.component_id, s.number].append(s)
    ratios: dict[int, list[float]] = defaultdict(list)
    for (component, _), seen in by_tag.items():
        edges = tag_edges(view, seen)
        if edges is not None:
            ratios[component] += (spec.edge_m / edges).tolist()
    if not ratios:
        raise InputError(f"{len(by_tag)} marker(s) are seen, but none from two directions that agree; let the camera "
                         "move sideways past it, and use each number once")  # fmt: skip
    edge_px = float(np.median([_edges(s.corners).mean() for s in sightings]))
    bias = float(np.hypot(PRINT_REL_SIGMA, CORNER_BIAS_PX / edge_px))
    return {c: _scale(np.array(r), f"markers of {spec.dictionary}", bias) for c, r in ratios.items()}


def _scale(ratios: Array, method: str, bias: float) -> Scale:
    """The four edges of a marker share its depth: they count as one measurement. bias: what all have in common."""
    scale = Scale.of(ratios, method)
    n_tags = max(1, len(ratios) // 4)
    rel = float(np.hypot(max(scale.spread, 1e-4) / np.sqrt(n_tags), bias))
    return Scale(scale.metres_per_unit, rel, scale.n, scale.spread, method)


def tag_edges(view: SessionView, seen: list[TagSighting]) -> Array | None:
    """Lengths (4,) of one marker's edges in map units; None where it is not seen from two directions, or its corners
    do not agree with a square that stands still. Views that contradict the others are left out, the worst first."""
    counts = Counter(s.keyframe.id for s in seen)
    seen = [s for s in seen if counts[s.keyframe.id] == 1]
    while len(seen) >= 2:
        points, residual_px, angle_deg = _corners(view, seen)
        if residual_px.max() <= MAX_RESIDUAL_PX:
            edges = _edges(points)
            is_square = np.ptp(edges) <= MAX_UNEVEN * edges.mean()
            return edges if is_square and angle_deg.min() > MIN_ANGLE_DEG else None
        worst = int(residual_px.argmax())
        seen = seen[:worst] + seen[worst + 1 :]
    return None


def _corners(view: SessionView, seen: list[TagSighting]) -> tuple[Array, Array, Array]:
    """The four corners (4,3) in the world, the largest residual (N,) of each view in px, the angles (4,) in degrees."""
    frame, point = np.repeat(np.arange(len(seen)), 4), np.tile(np.arange(4), len(seen))
    T = view.slam_map.T_world_keyframes(np.array([s.keyframe.id for s in seen]))
    camera, pixels = seen[0].keyframe.camera, np.concatenate([s.corners for s in seen])
    found = triangulate(camera, T, frame, point, pixels)
    residual_px = np.full(len(seen), np.inf)
    for i, s in enumerate(seen):
        local = se3.transform(se3.inverse(T[i]), found.points)
        if np.isfinite(local).all() and (local[:, 2] > 0).all():
            residual_px[i] = np.linalg.norm(camera.project(local) - s.corners, axis=1).max()
    return found.points, residual_px, found.angle_deg


def _edges(corners: npt.NDArray[np.float64]) -> Array:
    """Lengths (4,) of the edges of a quadrangle (4,d)."""
    return np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
