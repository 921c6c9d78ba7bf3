"""What never moves in the image while everything else does: a car's hood, a watermark, a drone's legs, a clock.

Two views some pixels of motion apart are compared again and again. The epipolar geometry of what moved says for each
cell of a grid whether a point of the world could have stayed where it was: not if it lies beside the epipolar line of
the same pixel, or where it would be behind a camera. Far points on a straight way could, those of a turning camera
could not. Where it could not, the structure tensors of both views' gradients are summed, and that of their product:

    moved:   E[g_a g_b^T] = 0                stayed:  g_a = g_b, so E[g_a g_b^T] = E[g g^T]

The ratio of the least eigenvalues (Shi and Tomasi, CVPR 1994) is the share of the corner that stays. Edges along which
the image glides, such as lanes and horizons, have none.

A pair of views may allow a hood to stay: on a straight way as something far away, in a bend as something nearer. So a
view is also followed until it has left the image. What is then still exactly where it was counts as well.
"""

import math
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.followed_view import MIN_MOVE, MIN_MOVERS, FollowedView
from vgslam.frontend.image_mask import Mask
from vgslam.geometry.camera import MIN_RAY_Z, Camera
from vgslam.multiview.two_view import rotation_between
from vgslam.types import Array

N_PIXELS = 320 * 240
"""Pixels of the images that are compared, however wide they are: all distances below are in px of these."""
CELL = 8
"""Edge of a cell, in px: about the height of burnt-in text."""
MIN_MEDIAN_MOVE = 6.0
"""Views are compared at this median motion (px) of what moves: far enough for it to have left its place."""
MIN_AGREEING = 0.6
"""Least share of the corners that moved that one epipolar geometry explains."""
EPIPOLAR_PX = 0.7
"""Largest distance of an inlier from its epipolar line."""
PURE_ROTATION_PX = 0.7
"""Median error of a rotation below which there is no translation to speak of."""
MARGIN = 2.0
"""How far (px) a point must lie from where the epipolar geometry allows it: rotations are known to a fraction of it."""
ENOUGH = 0.5
"""Share of the cells that should have moved, above which another first view is taken; below it the same one is compared
again when there is more motion: on a straight way it takes a while until turns tell a hood from what is far away."""
MIN_VOTES = 4
"""Comparisons in which a cell should have moved before it is judged."""
STAYS, STAYED = 0.6, 0.4
"""Share of a cell's corner that stays, above which it is ignored, and below which it is used again."""
STRONG, MIN_CORNER = 100.0, 0.08
"""Squared gradient, in grey values per px, of a cell that counts fully, and least strength of a corner as a share of
that or, where it is more, of the cell's own: below it are the traces of compression, and edges."""
MIN_CELLS = 4
"""Fewer cells that seem to stay are chance."""
MEMORY = 0.93
"""What a comparison is worth when the next one has come: some fifteen count."""
KEEN_COMPARISONS, REST, REST_FOUND = 10, 24, 12
"""Comparisons after which there are this many frames of rest between two: few things begin to stand still later. What
was found is looked at more often, as it may move again."""
MATCHED_COUNTS = 1.0
"""What a comparison by descriptors counts among the `KEEN_COMPARISONS`, whatever it shows: it takes longer."""
GONE_VOTES, MIN_STILL, MOST_STILL = 2.5, 8, 0.5
"""What it counts when a view has left the image but for what stays: twice is enough to judge, once may be a lorry that
hides what a standing camera sees. So many corners have to stay, and no greater share of all."""


class StaticRegions:
    """Looks at every frame of one camera and finds what never moves. `mask` (height,width): what was found; None where
    there is nothing. A standing camera finds nothing."""

    def __init__(self, camera: Camera) -> None:
        self.full = camera
        smaller = min(1.0, math.sqrt(N_PIXELS / (camera.width * camera.height)))
        width, height = (max(4 * CELL, round(side * smaller)) for side in (camera.width, camera.height))
        self.camera = camera.resized(width, height)
        rows, cols = height // CELL, width // CELL
        self._shape = rows, cols
        v, u = np.mgrid[:rows, :cols]
        self._centres = np.stack([u, v], axis=-1).reshape(-1, 2) * CELL + (CELL - 1) / 2.0
        self._both, self._self = np.zeros((rows, cols, 3), np.float32), np.zeros((rows, cols, 3), np.float32)
        self._n = np.zeros((rows, cols), np.float32)
        self._cells = np.zeros((rows, cols), bool)
        self._last: npt.NDArray[np.uint8] | None = None
        self._reference: FollowedView | None = None  # the view that the next ones are compared with
        self._going: FollowedView | None = None  # a view that is followed until it has left the image
        self._is_explained = False  # whether one motion explained what moved since then
        self._frame = -1
        self._n_compared, self._rests_until = 0.0, 0
        self.mask: Mask | None = None

    @property
    def share(self) -> float:
        """The share of the image that never moves."""
        return 0.0 if self.mask is None else float(self.mask.mean())

    def see(self, gray: npt.NDArray[np.uint8]) -> bool:
        """Take the next frame; returns whether `mask` has changed."""
        self._frame += 1
        if self._frame < self._rests_until:
            return False
        small = cv2.resize(gray, (self.camera.width, self.camera.height), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, small
        if self._reference is None or last is None:
            self._reference = FollowedView.of(small)
            self._going = replace(self._reference)
            return False
        is_news = self._see_going(last, small)
        return self._see_moved(self._reference, last, small) or is_news

    def _see_moved(self, reference: FollowedView, last: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> bool:
        """Compare the newest view with the reference once it is apart; returns whether `mask` has changed."""
        reference.follow(last, small)
        share, is_apart = 0.0, reference.median_move >= reference.compared_at + MIN_MEDIAN_MOVE
        if is_apart:
            reference.compared_at = reference.median_move
            share = self._compare(reference, small)
            self._n_compared += share
            if self._n_compared > KEEN_COMPARISONS:
                self._rests_until = self._frame + (REST if self.mask is None else REST_FOUND)
                self._reference = self._going = None
                return self._judge()
        if reference.is_old or share > ENOUGH:
            self._reference = FollowedView.of(small)
        return is_apart and self._judge()

    def _see_going(self, last: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> bool:
        """Look at what is left of a view that has left the image; returns whether `mask` has changed. On a way straight
        on, what is far away would stay too, but it never does so exactly."""
        going = self._going
        if going is None:
            return False
        going.follow(last, small)
        if not going.is_gone:
            return False
        n, is_explained = len(going.points) + going.n_lost, self._is_explained
        self._going, self._is_explained = FollowedView.of(small), False
        if not is_explained or not MIN_STILL <= going.n_still < MOST_STILL * n:
            return False
        self._vote(going.small, small, np.full(self._shape, GONE_VOTES, np.float32))
        return self._judge()

    def _compare(self, reference: FollowedView, small: npt.NDArray[np.uint8]) -> float:
        """One more comparison: what the cells show in both views, where a point of the world would have moved; returns
        the share of these cells. Steps too wide for optical flow are matched by descriptors."""
        moved = reference.moved
        should = self._should_move(reference.points[moved].astype(np.float64), reference.at[moved].astype(np.float64))
        if should is None:
            a, b = reference.matched(small)
            moved = np.linalg.norm(b - a, axis=1) > MIN_MOVE
            self._n_compared += MATCHED_COUNTS
            should = self._should_move(a[moved], b[moved]) if moved.sum() >= MIN_MOVERS else None
        self._is_explained |= should is not None
        if should is None or not should.any():
            return 0.0
        self._vote(reference.small, small, should.reshape(self._shape).astype(np.float32))
        return float(should.mean())

    def _vote(
        self, before: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8], weight: npt.NDArray[np.float32]
    ) -> None:
        """Count what the cells show in two views, with a weight (rows,cols) each."""
        (ua, va), (ub, vb) = (_gradient(image) for image in (before, small))
        half = np.float32(0.5)
        both = self._by_cell(ua * ub, half * (ua * vb + ub * va), va * vb)
        own = self._by_cell(half * (ua * ua + ub * ub), half * (ua * va + ub * vb), half * (va * va + vb * vb))
        # each comparison counts alike, or what stood there with more contrast would never be forgotten
        scaled = (weight / np.maximum(own[..., 0] + own[..., 2], STRONG))[..., None]
        self._both = MEMORY * self._both + scaled * both
        self._self = MEMORY * self._self + scaled * own
        self._n = MEMORY * self._n + weight

    def _by_cell(self, *images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Means over the cells (rows,cols,3) of three images."""
        rows, cols = self._shape
        stacked = np.dstack([image[: rows * CELL, : cols * CELL] for image in images])
        return np.asarray(cv2.resize(stacked, (cols, rows), interpolation=cv2.INTER_AREA), np.float32)

    def _should_move(self, a: Array, b: Array) -> Mask | None:
        """Whether, for each cell, no point of the world could stay at its centre while others move from a (N,2) to b;
        None if no epipolar geometry explains these."""
        R_a_b, residual = rotation_between(self.camera, a, b)
        rays = self.camera.rays(self._centres)
        if np.median(residual) < PURE_ROTATION_PX:
            return np.linalg.norm(self._project(rays @ R_a_b) - self._centres, axis=1) > MARGIN
        cv2.setRNGSeed(0)
        E, mask = cv2.findEssentialMat(a, b, self.camera.K, method=cv2.USAC_MAGSAC, prob=0.999, threshold=EPIPOLAR_PX)
        if E is None or E.shape != (3, 3) or mask is None or mask.mean() < MIN_AGREEING:
            return None
        _, R, t, _ = cv2.recoverPose(E, a, b, self.camera.K, mask=mask)
        turned = rays @ R.T  # where the cells' centres are at infinite depth
        infinite = self._project(turned)
        towards = self._project(turned + 1e-3 * t[:, 0]) - infinite  # as depth gets less
        towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
        stay = self._centres - infinite
        along = (stay * towards).sum(1)
        across = np.abs(stay[:, 0] * towards[:, 1] - stay[:, 1] * towards[:, 0])
        return np.asarray((across > MARGIN) | (along < -MARGIN))

    def _project(self, rays: Array) -> Array:
        rays = rays.copy()
        rays[:, 2] = np.maximum(rays[:, 2], MIN_RAY_Z)
        return self.camera.project(rays)

    def _judge(self) -> bool:
        """Renew the mask; returns whether it has changed."""
        both, own = (cv2.blur(x, (3, 3)) for x in (self._both, self._self))
        n = np.maximum(self._n, 1e-6)
        corner = _least_eigenvalue(own)
        stays = _least_eigenvalue(both) / np.maximum(corner, 1e-6)
        known = (self._n >= MIN_VOTES * MEMORY**MIN_VOTES) & (corner / n > MIN_CORNER)
        cells = known & (stays > np.where(self._cells, STAYED, STAYS))
        if cells.sum() < MIN_CELLS:
            cells = np.zeros_like(cells)
        if (cells == self._cells).all():
            return False
        self._cells = cells
        self.mask = self._image(cells)
        return True

    def _image(self, cells: Mask) -> Mask | None:
        """The cells at the size of the frames, gaps between them closed."""
        if not cells.any():
            return None
        padded = cv2.copyMakeBorder(cells.astype(np.uint8), 2, 2, 2, 2, cv2.BORDER_REPLICATE)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[2:-2, 2:-2]
        rows, cols = self._shape
        cell_of = [
            np.minimum((np.arange(full) * size / full / CELL).astype(int), most - 1)
            for full, size, most in (
                (self.full.height, self.camera.height, rows), (self.full.width, self.camera.width, cols)
            )
        ]  # fmt: skip
        return np.asarray(closed[np.ix_(*cell_of)] > 0)


def _gradient(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Grey values per px to the right and down."""
    return (
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8), np.float32),
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8), np.float32),
    )


def _least_eigenvalue(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The smaller eigenvalue of symmetric 2x2 matrices (..., 3) = (xx, xy, yy)."""
    xx, xy, yy = np.moveaxis(tensors, -1, 0)
    return np.asarray(0.5 * (xx + yy) - np.sqrt((0.5 * (xx - yy)) ** 2 + xy * xy), np.float32)
