"""Observations measured again once the map has been adjusted.

Tracking follows a corner from frame to frame, and every step adds a little to where it drifts; some keyframes later it
may be a pixel from where it began. An adjusted map says how the surroundings of a landmark that one keyframe shows look
in another: a small plane at its depth, as steep as the depths of its neighbours say. So the patch of one keyframe, in
the middle of the track, is warped into each of the others and found there, near where tracking had it. Drift does not
add up then. What is not found does not count, unless the keyframe would be left with too little.
"""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from vgslam import beside
from vgslam.frontend.features import Gray
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.refine.patches import SIDE_PX, Patches, find_patches, warped_patches
from vgslam.refine.problem import Mask, Problem, project
from vgslam.refine.shared_landmarks import GrayOf
from vgslam.types import Array, Ids

MOST_MOVED_PX = 3.0
"""A patch that is found farther from where tracking had it is another one."""
LEAST_LIKENESS = 0.8
"""Least correlation of a patch with what is found."""
MOST_STRETCH = 2.0
"""Patches that become larger or smaller by this factor are not searched for."""
LEAST_KEPT, LEAST_KEPT_SHARE = 30, 0.5
"""A keyframe in which fewer landmarks are found, or a smaller share, keeps those that are not found as they are."""
N_NEIGHBOURS = 8
"""Landmarks around another that say how steep its surface is."""
SPREAD_PX = 5.5
"""Neighbours pull the steepness away from that of a surface that faces the camera, which weighs as much as a neighbour
at this distance."""
MISFIT = 0.03
"""Relative depth by which a neighbour misses the plane at which it counts half."""
LEAST_AGREEMENT = 0.4
"""Least mean weight of the neighbours of a plane that is believed."""
STEEPEST = 0.04
"""Largest change of inverse depth from one pixel to the next, as a share of it."""
AT_ONCE = 25_000
"""Observations whose patches are held in memory together: 4 MB, and several times as much to make them."""
N_KEPT = 48
"""Images kept: those that gave the last patches are searched first."""
PLANE_ROUNDS = 3
"""Rounds in which neighbours that miss the plane lose weight."""
LEAST_INVERSE_Z = 1e-9
"""Least inverse depth beside a landmark."""


def remeasured(p: Problem, gray_of: GrayOf) -> Problem:
    """The problem with pixels measured again, and observations that were not found out of use. gray_of: the image of a
    keyframe, by its id."""
    reference = references(p)
    todo = np.flatnonzero(p.is_active() & (reference[p.point] != np.arange(len(p.cam))))
    if not len(todo):
        return p
    todo = todo[np.argsort(p.cam[todo], kind="stable")]
    search = _Search(p, reference, gray_of)
    pixels, is_found = p.pixels.copy(), np.zeros(len(p.cam), bool)
    for rows in np.array_split(todo, -(-len(todo) // AT_ONCE)):
        found, ok = search.find(rows)
        pixels[rows[ok]] = found[ok]
        is_found[rows[ok]] = True
    return replace(p, pixels=pixels, in_use=p.in_use & ~_unfound(p, todo, is_found))


def references(p: Problem) -> Ids:
    """(L,): the observation whose patch stands for each landmark, the middle one of its track; -1 without any."""
    rows = np.flatnonzero(p.is_active())
    rows = rows[np.lexsort((p.cam[rows], p.point[rows]))]
    found = np.full(len(p.points), -1, np.int64)
    ids, begin, count = np.unique(p.point[rows], return_index=True, return_counts=True)
    found[ids] = rows[begin + count // 2]
    return found


def _unfound(p: Problem, todo: Ids, is_found: Mask) -> Mask:
    """(M,): observations that were searched for in vain, where their keyframe can do without them."""
    n = len(p.keyframe_ids)
    n_found, n_todo = np.bincount(p.cam[todo[is_found[todo]]], minlength=n), np.bincount(p.cam[todo], minlength=n)
    can_do = (n_found >= LEAST_KEPT) & (n_found >= LEAST_KEPT_SHARE * n_todo)
    unfound = np.zeros(len(p.cam), bool)
    unfound[todo] = ~is_found[todo] & can_do[p.cam[todo]]
    return unfound


class _Search:
    """Finds landmarks of a problem by their patches. Keeps the images that were used last."""

    def __init__(self, p: Problem, reference: Ids, gray_of: GrayOf) -> None:
        self.p, self._reference = p, reference
        self._image = lru_cache(N_KEPT)(partial(_image, p, gray_of))
        self._local = p.local_points()
        self._slope = slopes(p, self._local, reference)

    def find(self, rows: Ids) -> tuple[Array, Mask]:
        """Where the landmarks of observations (n,) are, pixels (n,2), and which of them (n,) were found."""
        p, pixels, ok = self.p, self.p.pixels[rows].copy(), np.zeros(len(rows), bool)
        patches, has_patch = self._patches(rows)

        def search(k: int) -> None:
            mine = np.flatnonzero(has_patch & (p.cam[rows] == k))
            image = self._image(k)
            if image is not None:
                found = find_patches(image, patches[mine], pixels[mine])
                is_near = np.linalg.norm(found.pixels - pixels[mine], axis=1) < MOST_MOVED_PX
                ok[mine] = found.has_settled & is_near & (found.likeness > LEAST_LIKENESS)
                pixels[mine] = found.pixels

        beside.results(search, np.unique(p.cam[rows[has_patch]])[::-1].tolist())
        return pixels, ok

    def _patches(self, rows: Ids) -> tuple[Patches, Mask]:
        """The patches (n, SIDE_PX^2) of the landmarks of observations (n,) as they should look there, and which of them
        there are."""
        p, seen = self.p, self._reference[self.p.point[rows]]
        A = warps(p, rows, self._local[seen], p.cam[seen], self._slope[p.point[rows]])
        stretch = np.sqrt(np.abs(np.linalg.det(A)))
        may = (stretch < MOST_STRETCH) & (stretch > 1.0 / MOST_STRETCH)
        patches, ok = np.zeros((len(rows), SIDE_PX**2), np.uint8), np.zeros(len(rows), bool)

        def warp(j: int) -> None:
            mine = np.flatnonzero(may & (p.cam[seen] == j))
            image = self._image(j)
            if image is not None:
                patches[mine], ok[mine] = warped_patches(image, p.pixels[seen[mine]], A[mine])

        beside.results(warp, np.unique(p.cam[seen[may]]).tolist())
        return patches, ok


def _image(p: Problem, gray_of: GrayOf, n: int) -> Gray | None:
    """The image of keyframe number n; None for one of another size than the camera's, in which its pixels say
    nothing."""
    image = gray_of(int(p.keyframe_ids[n]))
    return image if image.shape == (p.camera.height, p.camera.width) else None


def warps(p: Problem, rows: Ids, local: Array, seen_by: Ids, slope: Array) -> Array:
    """(n,2,2): how offsets around landmarks in the images of keyframes `seen_by` (n,) become offsets at observations
    `rows` (n,). local (n,3): the landmarks in the frames of `seen_by`, on planes whose inverse depth changes by slope
    (n,2) from one pixel to the next."""
    T = p.T_cam_world[p.cam[rows]] @ se3.inverse(p.T_cam_world[seen_by])
    inverse_z = 1.0 / np.maximum(local[:, 2], MIN_DEPTH)
    ray = local * inverse_z[:, None]

    def seen_at(offset: list[float], rise: Array) -> Array:
        X = (ray + offset) / np.maximum(inverse_z + rise, LEAST_INVERSE_Z)[:, None]
        X = np.matmul(T[:, :3, :3], X[:, :, None])[:, :, 0] + T[:, :3, 3]
        X[:, 2] = np.maximum(X[:, 2], MIN_DEPTH)
        return project(p.camera, p.k1, X)

    here = seen_at([0.0, 0.0, 0.0], np.zeros(len(rows)))
    right = seen_at([1.0 / p.camera.fx, 0.0, 0.0], slope[:, 0])
    below = seen_at([0.0, 1.0 / p.camera.fy, 0.0], slope[:, 1])
    return np.stack([right - here, below - here], axis=-1)


def slopes(p: Problem, local: Array, reference: Ids) -> Array:
    """(L,2): how the inverse depth of the surface around each landmark changes from one pixel of the keyframe of its
    reference to the next, by a robust plane through its neighbours there (on a plane, inverse depth is linear in the
    pixel); 0 where they do not lie on one. local (M,3): the point of each observation in the frame of its camera."""
    slope = np.zeros((len(p.points), 2))
    for rows in p.rows_by_keyframe():
        mine = rows[local[rows, 2] > MIN_DEPTH]
        stands = reference[p.point[mine]] == mine
        if len(mine) > N_NEIGHBOURS and stands.any():
            slope[p.point[mine[stands]]] = _planes(p.pixels[mine], 1.0 / local[mine, 2], np.flatnonzero(stands))
    return slope


def _planes(pixels: Array, inverse_z: Array, at: Ids) -> Array:
    """Gradients (k,2) of the planes through points `at` (k,) and their neighbours among all (n,) points, which lie at
    pixels (n,2) and have inverse depths (n,)."""
    apart = np.square(pixels[at, None] - pixels).sum(2)
    apart[np.arange(len(at)), at] = np.inf
    near = np.argpartition(apart, N_NEIGHBOURS - 1, axis=1)[:, :N_NEIGHBOURS]
    offset = pixels[near] - pixels[at, None]
    rise = inverse_z[near] - inverse_z[at, None]
    weight: Array = np.ones(rise.shape)
    gradient: Array = np.zeros((len(at), 2))
    for _ in range(PLANE_ROUNDS):
        weighed = weight[:, :, None] * offset
        normal = np.swapaxes(weighed, 1, 2) @ offset + SPREAD_PX**2 * np.eye(2)
        gradient = np.asarray(np.linalg.solve(normal, np.swapaxes(weighed, 1, 2) @ rise[:, :, None])[:, :, 0])
        misfit = (rise - np.einsum("kni,ki->kn", offset, gradient)) / inverse_z[at, None]
        weight = 1.0 / (1.0 + np.square(misfit / MISFIT))
    gradient[weight.mean(1) < LEAST_AGREEMENT] = 0.0
    steepness = np.linalg.norm(gradient, axis=1) / inverse_z[at]
    return gradient * np.minimum(1.0, STEEPEST / np.maximum(steepness, 1e-12))[:, None]
