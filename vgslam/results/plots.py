"""The plots of a run, as PNG by file name."""

from collections.abc import Sequence

from vgslam.evaluation.evaluate import Evaluation
from vgslam.results.status import StatusTable
from vgslam.types import Keyframe, Trajectory


def plot_run(
    trajectory: Trajectory,
    frames: StatusTable | None = None,
    truth: Trajectory | None = None,
    evaluation: Evaluation | None = None,
    keyframes: Sequence[Keyframe] = (),
    title: str = "",
) -> dict[str, bytes]:
    """PNG files of `run_folder.PLOTS` that can be drawn from what is given.

    trajectory: one pose for each frame that has one, with components; frames: the status of all frames; truth is drawn
    only with its evaluation, which holds the alignment of each component.
    """
    from vgslam.viewer import plots  # here, because most of a run needs no matplotlib
    from vgslam.viewer.style import png_bytes

    alignments = {}
    if evaluation is not None:
        alignments = {c.component_id: c.series.alignment.S_ref_est for c in evaluation.components}
    lost = None if frames is None else frames.lost_timestamps_s(trajectory)
    heading = title
    if evaluation is not None:
        heading = f"{title}: ATE {evaluation.headline.ate_m.rmse:.3g} m".removeprefix(": ")
    top = plots.top_view(trajectory, truth if evaluation is not None else None, alignments, lost, heading)
    out = {"top_view.png": png_bytes(top)}
    if evaluation is not None:
        series = [(c.component_id, c.series) for c in evaluation.components]
        curves = [plots.ErrorCurve(i, s.timestamps_s, s.position_error_m, s.rotation_only_error_deg) for i, s in series]
        out["error.png"] = png_bytes(plots.error_over_time(curves, heading))
    if frames is not None:
        bars = plots.status_over_time(
            frames.timestamps_s, frames.statuses, frames.component_ids, frames.n_inliers, title
        )
        out["status.png"] = png_bytes(bars)
    if keyframes:
        out["depth.png"] = png_bytes(plots.depth_strip(keyframes, title=title))
    return out
