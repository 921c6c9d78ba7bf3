"""The plots of a run, as PNG by file name."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vgslam.errors import VgslamError
from vgslam.evaluation.evaluate import Evaluation
from vgslam.results.status import StatusTable
from vgslam.types import Keyframe, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawing = Callable[[], bytes]


LONGEST_TITLE = 60  # characters of a title; a longer one leaves a plot no room


def drawings(
    trajectory: Trajectory,
    frames: StatusTable | None = None,
    truth: Trajectory | None = None,
    evaluation: Evaluation | None = None,
    keyframes: Sequence[Keyframe] = (),
    title: str = "",
) -> dict[str, Drawing]:
    """What draws each of `run_folder.PLOTS` that can be drawn from what is given, as PNG; each may fail alone.
    trajectory: one pose for each frame that has one, with components; frames: the status of all frames; truth is drawn
    only with its evaluation, which holds the alignment of each component. All of them can be pickled."""
    title = title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
    heading = title
    if evaluation is not None:
        heading = f"{title}: ATE {evaluation.headline.ate_m.rmse:.3g} m".removeprefix(": ")
    out: dict[str, Drawing] = {
        "top_view.png": partial(_png, path_figure, trajectory, frames, truth, evaluation, heading)
    }
    if evaluation is not None:
        out["error.png"] = partial(_png, error_figure, evaluation, frames, heading)
    if frames is not None:
        out["status.png"] = partial(_png, status_figure, frames, title)
    if keyframes:
        unit = "m" if trajectory.is_metric else "map units"
        try:
            out["depth.png"] = partial(_png, _depth_figure, spread_with_depth(keyframes), title, unit)
        except VgslamError as error:  # a picture that cannot be read
            out["depth.png"] = partial(_fail, error)
    return out


def spread_with_depth(keyframes: Sequence[Keyframe], n: int = 6) -> list[Keyframe]:
    """Evenly chosen keyframes that have depth, with their pictures in memory."""
    with_depth = [i for i, k in enumerate(keyframes) if k.depth is not None and (k.depth > 0).any()]
    if not with_depth:
        return []
    places = np.linspace(0, len(with_depth) - 1, min(n, len(with_depth))).round().astype(int)
    chosen = [keyframes[with_depth[i]] for i in np.unique(places)]
    names = [f.name for f in fields(Keyframe)]
    return [Keyframe(**{name: getattr(k, name) for name in names}) for k in chosen]


def load_libraries() -> None:
    """Import what is needed to draw, which takes a second."""
    from vgslam.viewer import library

    library.load()
    import vgslam.viewer.plots  # noqa: F401


def _fail(error: VgslamError) -> bytes:
    raise error


# matplotlib is imported when something is drawn, because most of a run needs none


def path_figure(
    trajectory: Trajectory, frames: StatusTable | None = None, truth: Trajectory | None = None,
    evaluation: Evaluation | None = None, heading: str = "",
) -> "Figure":  # fmt: skip
    """The path from above; the truth only with its evaluation, which says how each component is aligned with it."""
    from vgslam.viewer import plots

    lost = None if frames is None else frames.lost_timestamps_s(trajectory)
    if evaluation is None:
        return plots.top_view(trajectory, None, {}, lost, heading)
    return plots.top_view(trajectory, truth, evaluation.alignments, lost, heading)


def error_figure(evaluation: Evaluation, frames: StatusTable | None, heading: str = "") -> "Figure":
    """Errors over the time of the frames, or of the errors."""
    from vgslam.viewer import plots

    series = [(c.component_id, c.series) for c in evaluation.components]
    curves = [plots.ErrorCurve(i, s.timestamps_s, s.position_error_m, s.rotation_only_error_deg) for i, s in series]
    span_s = None if frames is None or not len(frames.frame_ids) else plots.time_span_s(frames.timestamps_s)
    return plots.error_over_time(curves, heading, span_s)


def status_figure(frames: StatusTable, title: str = "") -> "Figure":
    """Status and inliers over time."""
    from vgslam.viewer import plots

    return plots.status_over_time(frames.timestamps_s, frames.statuses, frames.component_ids, frames.n_inliers, title)


def _depth_figure(keyframes: Sequence[Keyframe], title: str, unit: str) -> "Figure":
    from vgslam.viewer.depth_strip import depth_strip

    return depth_strip(keyframes, title=title, unit=unit)


def _png(draw: Callable[..., "Figure"], *given: Any) -> bytes:
    load_libraries()
    from vgslam.viewer.style import png_bytes

    return png_bytes(draw(*given))
