"""Cameras from predicted rays: a homography from image to directions per view, taken apart (arXiv 2511.10647).

The direction of the ray through a pixel p is R K^-1 p, so the homography is R times an upper triangular matrix, which a
QR decomposition finds exactly. The original's QL decomposition is right for a centred principal point alone; it is kept
for comparisons.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

MIN_Z = 1e-4  # directions with a z of this size or less have no usable x/z, y/z: they count for nothing
CANDIDATE_SHARE, N_SAMPLES, SAMPLE_SIZE = 0.3, 100, 8
"""RANSAC draws its samples among this share of the pixels, those of highest confidence."""
MAX_ERROR = 0.2  # error of an inlier, in units of x/z


@dataclass(frozen=True)
class RayCameras:
    """Cameras of S views; nan where the rays of a view determine none."""

    T_cam_world: Float  # (S,4,4)
    K: Float  # (S,3,3) px; the image's corner is at 0, as in `vgslam.network.pose_encoding`


def cameras_from_rays(
    rays: npt.ArrayLike, confidence: npt.ArrayLike, image_size: tuple[int, int], samples: npt.ArrayLike | None = None,
    is_ql: bool = False,
) -> RayCameras:  # fmt: skip
    """Rays (S,n_y,n_x,6), direction then origin, and confidences (S,n_y,n_x) -> cameras of images (height, width) px.
    samples (n,8): positions among the candidates, for all views; None draws the same ones every time. is_ql: the
    original's decomposition."""
    r, c = np.asarray(rays, np.float64), np.asarray(confidence, np.float64)
    n_y, n_x = c.shape[1:]
    source = _grid(n_x, n_y)
    n_candidates = max(int(CANDIDATE_SHARE * n_x * n_y), SAMPLE_SIZE)
    if samples is None:
        samples = np.random.default_rng(0).random((N_SAMPLES, n_candidates)).argsort(axis=1)[:, :SAMPLE_SIZE]
    T, K = np.full((len(r), 4, 4), np.nan), np.full((len(r), 3, 3), np.nan)
    for view in range(len(r)):
        try:
            found = _camera(r[view].reshape(-1, 6), c[view].ravel(), source, np.asarray(samples), n_candidates, is_ql)
        except np.linalg.LinAlgError:
            continue
        T[view], K[view] = found
    height, width = image_size
    K[:, 0] *= width / 2
    K[:, 1] *= height / 2
    return RayCameras(T, K)


def _camera(
    rays: Float, confidence: Float, source: Float, samples: npt.NDArray[np.int64], n_candidates: int, is_ql: bool
) -> tuple[Float, Float]:
    """T_cam_world (4,4), and K (3,3) in units where the image is 2 wide and 2 high."""
    z = rays[:, 2]
    is_usable = np.abs(z) > MIN_Z
    weight = np.where(is_usable, confidence, 0.0)
    target = rays[:, :2] / np.where(is_usable, z, 1.0)[:, None]
    candidates = np.argsort(-weight, kind="stable")[:n_candidates]
    H = _robust_homography(source, target, weight, candidates[samples])
    if np.linalg.det(H) < 0:
        H = -H
    R, K = _rotation_and_intrinsics_ql(H) if is_ql else _rotation_and_intrinsics(H)
    centre = (weight[:, None] * rays[:, 3:]).sum(0) / weight.sum()
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R.T, -R.T @ centre
    return T, K


def _grid(n_x: int, n_y: int) -> Float:
    """Pixel centres (N,2) of an image that reaches from -1 to 1."""
    u, v = (np.linspace(-(1 - 1 / n), 1 - 1 / n, n) for n in (n_x, n_y))
    return np.stack([np.tile(u, n_y), np.repeat(v, n_x)], axis=1)


def _robust_homography(source: Float, target: Float, weight: Float, samples: npt.NDArray[np.int64]) -> Float:
    """Homography (3,3) source -> target of the sample (n,8) with most weight of inliers, from all its inliers."""
    guesses = _homography(source[samples], target[samples], weight[samples])
    ones = np.concatenate([source, np.ones((len(source), 1))], axis=1)
    inliers = [_error(ones, target, H) < MAX_ERROR for H in guesses]
    best = inliers[int(np.argmax([weight[i].sum() for i in inliers]))]
    if best.sum() < SAMPLE_SIZE:
        raise np.linalg.LinAlgError("the rays agree on no camera")
    return _homography(source[None, best], target[None, best], weight[None, best])[0]


def _error(ones: Float, target: Float, H: Float) -> Float:
    """Distance (N,) between the projected and the target points."""
    p = ones @ H.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.linalg.norm(p[:, :2] / p[:, 2:] - target, axis=1))


def _homography(source: Float, target: Float, weight: Float) -> Float:
    """Weighted direct linear transform (n,3,3), H_33 = 1, of points (n,m,2) each (Hartley and Zisserman, section 4.1).
    From the eigenvectors of the 9x9 normal matrix; coordinates are of order 1 as they are."""
    n, m = source.shape[:2]
    s = np.concatenate([source, np.ones((n, m, 1))], axis=2)
    pairs = np.zeros((n, m, 2, 9))
    pairs[:, :, 0, :3], pairs[:, :, 1, 3:6] = s, s
    pairs[..., 6:] = -target[..., None] * s[:, :, None, :]
    rows = (pairs * np.sqrt(weight)[:, :, None, None]).reshape(n, 2 * m, 9)
    _, vectors = np.linalg.eigh(rows.transpose(0, 2, 1) @ rows)
    h = vectors[:, :, 0].reshape(n, 3, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(h / h[:, 2:, 2:])


def _rotation_and_intrinsics(H: Float) -> tuple[Float, Float]:
    """Rotation camera to world and K (image 2 wide and 2 high) from H ~ R K^-1."""
    R, U = np.linalg.qr(H)
    signs = np.where(np.diag(U) < 0, -1.0, 1.0)
    R, U = R * signs, U * signs[:, None]
    fx, fy = U[2, 2] / U[0, 0], U[2, 2] / U[1, 1]
    K = np.array([[fx, 0, 1 - fx * U[0, 2] / U[2, 2]], [0, fy, 1 - fy * U[1, 2] / U[2, 2]], [0, 0, 1]])
    return R, K


def _rotation_and_intrinsics_ql(H: Float) -> tuple[Float, Float]:
    """The original's: H = R L with L lower triangular."""
    Q, U = np.linalg.qr(H[:, ::-1])
    R, L = Q[:, ::-1], U[::-1, ::-1]
    signs = np.where(np.diag(L) < 0, -1.0, 1.0)
    R, L = R * signs, L * signs[:, None]
    L = L / L[2, 2]
    return R, np.array([[1 / L[0, 0], 0, L[2, 0] + 1], [0, 1 / L[1, 1], L[2, 1] + 1], [0, 0, 1]])
