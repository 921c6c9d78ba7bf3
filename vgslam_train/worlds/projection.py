"""Per-frame set-up of ray casting: each surface as linear forms in pixel coordinates, and where it is on the image.

With a ray r = K^-1 (u, v, 1) the point at depth z is z r. On a plane through c with normal n, seen from t with
rotation R (camera to body), the inverse depth w = 1/z and the products s w and t w of the in-plane coordinates are
linear in r, hence in (u, v): three forms decide visibility and place on the surface (homogeneous rasterisation,
Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates", 1997). All in float64 on the CPU.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.surfaces import Planes, Quadrics

Array = npt.NDArray[np.float64]

NEAR_M = 0.02


@dataclass(frozen=True)
class PlaneForms:
    """Projections of P planes into N frames."""

    forms: Array
    """(N,P,3,3): rows s w, t w, w on (u, v, 1)."""
    distance: Array
    """(N,P): camera to plane in metres, > 0 in front."""
    box: npt.NDArray[np.int64]
    """(N,P,4): pixel columns and rows u0 v0 u1 v1 (end exclusive) that the plane may cover; empty when hidden."""

    def part(self, frames: slice) -> "PlaneForms":
        """Those of some of the frames."""
        return PlaneForms(self.forms[frames], self.distance[frames], self.box[frames])


@dataclass(frozen=True)
class QuadricForms:
    """C quadrics in N frames."""

    ray: Array
    """(N,C,3,3) on (u, v, 1), in the unit frame."""
    origin: Array
    """(N,C,3) in the unit frame."""
    box: npt.NDArray[np.int64]
    """(N,C,4), as of `PlaneForms`."""
    meet: Array
    """(N,C,14): inverse depth in the pixel coordinates x, y from the middle (m, n) of the box. On the unit sphere
    |o + z r|² = 1 (for cylinders x and y only) w = 1/z solves c w² + 2 b w + a = 0, so w = sqrt(q) - p with the
    quadratic form q = (b² - a c) / c² and the linear form p = b / c. The columns are m, n; q on x², x y, y², x, y, 1;
    p on x, y, 1; and for cylinders, which end where |o_z w + h| > w, h on x, y, 1. Hidden: q is -1 everywhere."""

    def part(self, frames: slice) -> "QuadricForms":
        """Those of some of the frames."""
        return QuadricForms(self.ray[frames], self.origin[frames], self.box[frames], self.meet[frames])


def plane_forms(planes: Planes, T_body_cam: Array, camera: Camera) -> PlaneForms:
    """T_body_cam (N,B,4,4). Forms of planes that no frame sees are zero."""
    n, count = len(T_body_cam), len(planes.center)
    K_inverse = np.linalg.inv(camera.K)
    forms, distance = np.zeros((n, count, 3, 3)), np.zeros((n, count))
    box = np.zeros((n, count, 4), np.int64)
    for body in range(T_body_cam.shape[1]):
        own = np.flatnonzero(planes.body == body)
        R, t = T_body_cam[:, body, :3, :3], T_body_cam[:, body, :3, 3]
        distance[:, own] = t @ planes.normal[own].T - np.sum(planes.center * planes.normal, axis=1)[own]
        center_cam = (planes.center[own] - t[:, None]) @ R
        frame, near = np.nonzero((distance[:, own] > 1e-6) & _may_be_seen(center_cam, planes.radius_m[own], camera))
        corners = (planes.corners[own[near]] - t[frame, None]) @ R[frame]
        box[frame, own[near]] = _polygon_box(corners, camera)
        seen = own[(box[:, own, 2] > 0).any(0)]
        forms[:, seen] = _forms(planes, seen, R @ K_inverse, t)
    return PlaneForms(forms, distance, box)


def _forms(planes: Planes, seen: npt.NDArray[np.int64], ray: Array, t: Array) -> Array:
    """Forms (N,V,3,3) of the planes `seen`; ray (N,3,3) takes (u, v, 1) to directions in the axes of their body."""
    n = len(t)
    halves = (planes.axis_a[seen], planes.axis_b[seen])
    axes = [planes.normal[seen], *(x / np.sum(x * x, axis=1, keepdims=True) for x in halves)]
    turned = (np.concatenate(axes) @ ray).reshape(n, 3, len(seen), 3)
    offset = [t @ x.T - np.sum(planes.center[seen] * x, axis=1) for x in axes]
    distance = np.where(offset[0] > 1e-6, offset[0], np.inf)[..., None]
    w = -turned[:, 0] / distance
    return np.stack([turned[:, k] + offset[k][..., None] * w for k in (1, 2)] + [w], axis=2)


def quadric_forms(quadrics: Quadrics, T_body_cam: Array, camera: Camera) -> QuadricForms:
    """T_body_cam (N,B,4,4)."""
    T = T_body_cam[:, quadrics.body]
    R, t = T[..., :3, :3], T[..., :3, 3]
    ray = quadrics.to_unit @ R @ np.linalg.inv(camera.K)
    origin = np.einsum("cij,ncj->nci", quadrics.to_unit, t - quadrics.center)
    box = _quadric_box(quadrics, R, t, camera)
    side = origin[..., :2] if origin.shape[1] else origin
    reach = np.where(quadrics.is_cylinder, np.sum(side**2, -1), np.sum(origin**2, -1))
    box[reach <= 1.0] = 0
    return QuadricForms(ray, origin, box, _meet_forms(ray, origin, quadrics.is_cylinder, box))


def _meet_forms(
    ray: Array, origin: Array, is_cylinder: npt.NDArray[np.bool_], box: npt.NDArray[np.int64]
) -> Array:  # fmt: skip
    """Columns of `QuadricForms.meet`."""
    middle = 0.5 * (box[..., :2] + box[..., 2:])
    ray = ray.copy()
    ray[..., 2] += ray[..., 0] * middle[..., :1] + ray[..., 1] * middle[..., 1:]
    kept = np.stack([np.ones_like(is_cylinder), np.ones_like(is_cylinder), ~is_cylinder], -1).astype(np.float64)
    seen = box[..., 2] > 0
    c = np.where(seen, np.sum(kept * origin**2, -1) - 1.0, 1.0)[..., None]
    p = np.einsum("nck,nckj->ncj", kept * origin, ray) / c
    square = np.swapaxes(ray, 2, 3) @ (kept[..., None] * ray)
    q = p[..., :, None] * p[..., None, :] - square / c[..., None]
    q[~seen] = np.diag([0.0, 0.0, -1.0])
    twice = [2 * q[..., 0, 1], q[..., 1, 1], 2 * q[..., 0, 2], 2 * q[..., 1, 2], q[..., 2, 2]]
    quadratic = np.stack([q[..., 0, 0], *twice], -1)
    return np.concatenate([middle, quadratic, p, ray[:, :, 2]], -1)


def _side_normals(camera: Camera) -> Array:
    """Outward unit normals (4,3) of the planes through the camera's centre and the edges of the image."""
    right, below = (camera.width - camera.cx) / camera.fx, (camera.height - camera.cy) / camera.fy
    left, above = (camera.cx + 1.0) / camera.fx, (camera.cy + 1.0) / camera.fy
    normals = np.array([[1, 0, -right], [-1, 0, -left], [0, 1, -below], [0, -1, -above]])
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _may_be_seen(center: Array, radius_m: Array, camera: Camera) -> npt.NDArray[np.bool_]:
    """Whether spheres with centres (N,S,3) in camera coordinates may reach into the image: (N,S)."""
    beyond = (center @ _side_normals(camera).T).max(-1)
    return (center[..., 2] + radius_m >= NEAR_M) & (beyond <= radius_m)


def _polygon_box(corners: Array, camera: Camera) -> npt.NDArray[np.int64]:
    """Pixel box of a polygon (...,K,3), clipped at the near plane."""
    following = np.roll(corners, -1, axis=-2)
    z0, z1 = corners[..., 2], following[..., 2]
    crosses = (z0 < NEAR_M) != (z1 < NEAR_M)
    ratio = (NEAR_M - z0) / np.where(crosses, z1 - z0, 1.0)
    cut = corners + ratio[..., None] * (following - corners)
    points = np.concatenate([corners, cut], axis=-2)
    valid = np.concatenate([z0 >= NEAR_M, crosses], axis=-1)
    z = np.where(valid, np.maximum(points[..., 2], NEAR_M), 1.0)
    u = camera.fx * points[..., 0] / z + camera.cx
    v = camera.fy * points[..., 1] / z + camera.cy
    low = [np.where(valid, x, np.inf).min(-1) for x in (u, v)]
    high = [np.where(valid, x, -np.inf).max(-1) for x in (u, v)]
    return _clip_box(low, high, camera)


def _quadric_box(quadrics: Quadrics, R: Array, t: Array, camera: Camera) -> npt.NDArray[np.int64]:
    """Pixel box of quadrics seen from t (N,C,3) with rotation R (N,C,3,3).

    A surface {m + M y: |y| = 1} has the outline {l: l' C l = 0} of tangent lines l, with C = K (M M' - m m') K'
    (Hartley and Zisserman, "Multiple View Geometry", 8.3); a cylinder reaches as far as the discs at its two ends.
    What comes too near the camera covers the whole image.
    """
    M = np.swapaxes(R, 2, 3) @ np.linalg.inv(quadrics.to_unit)
    m = np.einsum("ncji,ncj->nci", R, quadrics.center - t)
    half = M[..., 2] * quadrics.is_cylinder[:, None]
    M = np.concatenate([M[..., :2], np.where(quadrics.is_cylinder[:, None], 0.0, M[..., 2])[..., None]], -1)
    m = np.stack([m - half, m + half])
    extent = np.linalg.norm(M[..., 2, :], axis=-1)
    near, far = (m[..., 2] - extent).min(0), (m[..., 2] + extent).max(0)
    safe = np.where((near < NEAR_M)[..., None], (0.0, 0.0, 1e9), m)
    low, high = [], []
    for axis, (f, c) in enumerate(((camera.fx, camera.cx), (camera.fy, camera.cy))):
        c_33 = np.sum(M[..., 2, :] ** 2, -1) - safe[..., 2] ** 2
        c_13 = np.sum(M[..., axis, :] * M[..., 2, :], -1) - safe[..., axis] * safe[..., 2]
        c_11 = np.sum(M[..., axis, :] ** 2, -1) - safe[..., axis] ** 2
        root = np.sqrt(np.maximum(c_13**2 - c_11 * c_33, 0.0))
        low.append((f * (c_13 + root) / c_33 + c).min(0))
        high.append((f * (c_13 - root) / c_33 + c).max(0))
    box = _clip_box(low, high, camera)
    box[near < NEAR_M] = (0, 0, camera.width, camera.height)
    sides = _side_normals(camera)
    beyond = (m @ sides.T).min(0) - np.linalg.norm(np.swapaxes(M, 2, 3) @ sides.T, axis=2)
    box[(far < NEAR_M) | (beyond > 0).any(-1)] = 0
    return box


def _clip_box(low: list[Array], high: list[Array], camera: Camera) -> npt.NDArray[np.int64]:
    limits = (camera.width, camera.height)
    start = [np.clip(np.floor(x), 0, n) for x, n in zip(low, limits, strict=True)]
    end = [np.clip(np.ceil(x) + 1, 0, n) for x, n in zip(high, limits, strict=True)]
    box = np.stack([*start, *end], axis=-1).astype(np.int64)
    box[(box[..., 2] <= box[..., 0]) | (box[..., 3] <= box[..., 1])] = 0
    return box
