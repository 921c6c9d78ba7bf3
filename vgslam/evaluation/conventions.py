"""Poses that were written in another convention than assumed, or for frames without one: what fits far better is named.
No score is changed."""

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from vgslam.evaluation.alignment import align, spread
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import line_ratio
from vgslam.geometry.rotation_mean import angles_deg, mean_rotation
from vgslam.types import Array

WRONG_DEG = 5.0  # rotations that agree better than this raise no question
FAR_BETTER = 0.25  # share of the error that may be left for another convention to be named
AGREES_DEG = 10.0  # largest error that another convention may leave: random rotations come no nearer
WRONG_OF_PATH = 0.1  # positions whose error is less than this share of their extent raise no question
LINE = 0.05  # second extent of the positions over the first below which they do not say how the cameras are turned
DOUBTED = 2.0
"""A turn of up to this many times what the errors of the positions do to their alignment is not one of the axes."""
NEAR_AXES_DEG = 20.0  # axes that are this near to one of the known ones are called by its name
_NAMES = {
    "OpenGL's (x right, y up, z backward)": np.diag([1.0, -1.0, -1.0]),
    "ROS's or a body's (x forward, y left, z up)": np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),
    "a vehicle's (x forward, y right, z down)": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
}
"""R_opencv_other (3,3): columns are the other axes in OpenCV's (x right, y down, z forward)."""
_COLUMNS = {
    "x and y swapped": np.eye(3)[[1, 0, 2]], "y and z swapped": np.eye(3)[[0, 2, 1]],
    "x and z swapped": np.eye(3)[[2, 1, 0]], "x mirrored": np.diag([-1.0, 1.0, 1.0]),
    "y mirrored": np.diag([1.0, -1.0, 1.0]), "z mirrored": np.diag([1.0, 1.0, -1.0]),
}  # fmt: skip
"""Slips of columns, each its own inverse: they differ by turns of the world, so rotations tell which it is."""
_NEARLY = 1.05  # readings up to this factor above the least error agree as well with positions; rotations decide
ROUNDING = 1e-6
FEWEST_SAME = 3  # frames with one pose to the last bit from which it is told
MOVED = 0.02  # share of the extent of the reference that its own poses must spread over meanwhile


def same_pose_note(T_ref_cam: Array, T_est_cam: Array) -> str | None:
    """A line where poses (N,4,4) of the estimate repeat one exactly while the reference moves; None otherwise."""
    rows, counts = np.unique(T_est_cam.reshape(len(T_est_cam), 16), axis=0, return_counts=True)
    n = int(counts.max(initial=0))
    if n < FEWEST_SAME or n == len(T_est_cam):
        return None
    same = (T_est_cam.reshape(-1, 16) == rows[counts.argmax()]).all(axis=1)
    if spread(T_ref_cam[same, :3, 3]) < MOVED * spread(T_ref_cam[:, :3, 3]):
        return None
    which = "the identity" if np.array_equal(T_est_cam[same][0], np.eye(4)) else "one pose"
    return (f"{n} of {len(T_est_cam)} poses of the estimate are {which} to the last bit, while the reference moves: "
            "frames without a pose that were written all the same? Leave them out")  # fmt: skip


def convention_note(T_ref_cam: Array, T_est_cam: Array) -> str | None:
    """One line that names the convention in which N corresponding poses (N,4,4) agree far better than as they were
    read, None if they agree or no usual convention helps. Tried on either side: quaternions with w first or last,
    rotations or poses from world to camera, other axes of the camera, a mirrored world, positions whose columns are
    swapped. The rotations are compared after the alignment of the positions."""
    if len(T_ref_cam) < 3 or spread(T_ref_cam[:, :3, 3]) == 0.0 or spread(T_est_cam[:, :3, 3]) == 0.0:
        return None
    by_positions = min(line_ratio(T_ref_cam[:, :3, 3]), line_ratio(T_est_cam[:, :3, 3])) > LINE
    now_m, now_deg = _errors(T_ref_cam, T_est_cam, by_positions)
    size = spread(T_ref_cam[:, :3, 3])
    if now_m > WRONG_OF_PATH * size:
        return _of_positions(T_ref_cam, T_est_cam, now_m, size, by_positions)
    if now_deg < WRONG_DEG:
        return None
    readings = list(_rotations(T_ref_cam, T_est_cam))
    if by_positions:
        readings += _whole_poses(T_ref_cam, T_est_cam)
    tried = [(_errors(ref, est, by_positions), spread(ref[:, :3, 3]), name) for name, ref, est in readings]
    fitting = [(deg, name) for (m, deg), extent, name in tried if m <= WRONG_OF_PATH * extent]
    best_deg, name = min(fitting, default=(np.inf, ""))
    if best_deg < min(FAR_BETTER * now_deg, AGREES_DEG):
        return f"positions agree, but rotations are {now_deg:.3g} deg off; {best_deg:.2g} deg if {name}"
    return _axes(T_ref_cam, T_est_cam, now_deg) if by_positions else None


def _rotations(T_ref: Array, T_est: Array) -> Iterator[tuple[str, Array, Array]]:
    """Other readings of the rotations alone."""
    for who, of_ref in (("estimate", False), ("reference", True)):
        T = T_ref if of_ref else T_est
        for name, R in (
            (f"the {who}'s quaternions are written w first (qw qx qy qz)", _reordered(T, [1, 2, 3, 0])),
            (f"the {who}'s quaternions are written w last (qx qy qz qw)", _reordered(T, [3, 0, 1, 2])),
            (f"the {who}'s rotations are from world to camera", np.swapaxes(T[:, :3, :3], 1, 2)),
        ):
            other = T.copy()
            other[:, :3, :3] = R
            yield name, *((other, T_est) if of_ref else (T_ref, other))


def _reordered(T: Array, order: list[int]) -> Array:
    """Rotations (N,3,3) whose quaternion (x y z w) has the parts of T's in another order."""
    quaternions = np.array([se3.quaternion_from_rotation(R) for R in T[:, :3, :3]])
    return np.array([se3.rotation_from_quaternion(q) for q in quaternions[:, order]])


def _whole_poses(T_ref: Array, T_est: Array) -> Iterator[tuple[str, Array, Array]]:
    """Other readings of whole poses."""
    yield "the estimate's poses are from world to camera", T_ref, se3.inverse(T_est)
    yield "the reference's poses are from world to camera", se3.inverse(T_ref), T_est
    for axis, name in enumerate("xyz"):
        mirror = np.eye(4)
        mirror[axis, axis] = -1.0
        yield f"one of the two is mirrored in {name} (its axes are left-handed)", T_ref, mirror @ T_est @ mirror
    for name, columns in _COLUMNS.items():
        other = T_est.copy()
        other[:, :3, 3] = T_est[:, :3, 3] @ columns
        yield f"the estimate's positions alone have {name}", T_ref, other


def _of_positions(T_ref: Array, T_est: Array, now_m: float, size: float, by_positions: bool) -> str | None:
    """The reading of whole poses that explains positions which do not agree."""
    errors = []
    for name, ref, est in _whole_poses(T_ref, T_est):
        other_m, other_deg = _errors(ref, est, by_positions)
        errors.append((other_m / max(spread(ref[:, :3, 3]), 1e-300), other_deg, name))
    least = min(errors)[0]
    alike = [(deg, m, name) for m, deg, name in errors if m <= _NEARLY * least + ROUNDING]
    deg, best, name = min(alike)
    if deg > AGREES_DEG:  # the rotations fit none of them
        _, best, name = alike[0]
    now = now_m / size
    if best > FAR_BETTER * now or best > WRONG_OF_PATH:
        return None
    return f"positions are {100 * now:.3g} % of their extent off; {100 * best:.2g} % if {name}"


def _axes(T_ref: Array, T_est: Array, now_deg: float) -> str | None:
    """One turn of the camera's axes that explains the rotations: R_ref = R_est R_est_ref."""
    aligned = align(T_ref, T_est, with_scale=True).apply(T_est)[:, :3, :3]
    turn = mean_rotation(np.swapaxes(aligned, 1, 2) @ T_ref[:, :3, :3])
    left = angles_deg(np.swapaxes(T_ref[:, :3, :3], 1, 2) @ aligned @ turn)
    left_deg = float(np.sqrt((left**2).mean()))
    if left_deg > min(FAR_BETTER * now_deg, AGREES_DEG):
        return None
    begin = f"positions agree, but rotations are {now_deg:.3g} deg off; {left_deg:.2g} deg if"
    for name, R in _NAMES.items():
        of_ref, of_est = _angle(R, turn) < NEAR_AXES_DEG, _angle(R.T, turn) < NEAR_AXES_DEG
        if of_ref or of_est:
            who = "one of the two" if of_ref and of_est else "the reference" if of_ref else "the estimate"
            return f"{begin} the camera's axes are {name} in {who}, and OpenCV's in the other"
    by_deg = _angle(np.eye(3), turn)
    if by_deg < DOUBTED * _alignment_error_deg(T_ref, T_est):
        return None
    near = min(_angle(R, turn) for R in _right_angles())
    how = "by right angles " if near < NEAR_AXES_DEG < by_deg else ""
    return f"{begin} the axes of the two cameras are turned {how}against each other, by {by_deg:.0f} deg"


def _alignment_error_deg(T_ref: Array, T_est: Array) -> float:
    """How far the alignment of positions may turn them wrongly about their longest extent: their error over the extent
    across it. Errors of a trajectory drift together, so their number does not help."""
    error_m, _ = _errors(T_ref, T_est, by_positions=True)
    points = T_ref[:, :3, 3] - T_ref[:, :3, 3].mean(0)
    across = np.linalg.svd(points, compute_uv=False)[1:]
    return float(np.degrees(error_m * np.sqrt(len(points)) / max(float(np.linalg.norm(across)), 1e-12)))


def _right_angles() -> Iterator[Array]:
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            R = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(R) > 0:
                yield R


def _angle(a: Array, b: Array) -> float:
    return float(angles_deg((a.T @ b)[None])[0])


def _errors(T_ref: Array, T_est: Array, by_positions: bool) -> tuple[float, float]:
    """RMS errors of position (after Sim(3)) and of rotation in degrees, aligned by positions or by rotations."""
    aligned = align(T_ref, T_est, with_scale=True).apply(T_est)
    position = float(np.sqrt(((aligned[:, :3, 3] - T_ref[:, :3, 3]) ** 2).sum(1).mean()))
    R_est = aligned[:, :3, :3]
    if not by_positions:
        R_est = mean_rotation(T_ref[:, :3, :3] @ np.swapaxes(R_est, 1, 2)) @ R_est
    angles = angles_deg(np.swapaxes(T_ref[:, :3, :3], 1, 2) @ R_est)
    return position, float(np.sqrt((angles**2).mean()))
