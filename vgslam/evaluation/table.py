"""Scores as a table for people."""

from rich.markup import escape
from rich.table import Table

from vgslam.evaluation.relative import RelativeError
from vgslam.evaluation.scores import ComponentScore, ErrorStatistics, Evaluation
from vgslam.guards.wording import shown


def number(value: float | None, digits: int = 4, unit: str = "") -> str:
    """A figure with `digits` significant digits, 'n/a' for None."""
    return "n/a" if value is None else f"{value:.{digits}g}{unit}"


def evaluation_table(evaluation: Evaluation, title: str = "Evaluation") -> Table:
    """One column for all frames of each component (largest first), one for the keyframes."""
    table = Table(
        title=escape(shown(title)),
        title_justify="left",
        caption=escape(shown("\n".join(["* rmse / mean / median / max", *evaluation.notes]))),
        caption_justify="left",
    )
    table.add_column("score")
    columns = list(evaluation.components)
    for score in columns:
        several = f", component {score.component_id}" if evaluation.coverage.n_components > 1 else ""
        table.add_column(f"all frames{several}", justify="right")
    if evaluation.keyframes is not None:
        columns.append(evaluation.keyframes)
        table.add_column("keyframes", justify="right")
    cells = [_component_cells(score, evaluation.rpe_delta_s) for score in columns]
    for name in cells[0]:
        table.add_row(name, *[cell[name] for cell in cells])
    if any(score.flags for score in columns):
        table.add_row("remarks", *["; ".join(score.flags) for score in columns])
    table.add_section()
    for name, value in _coverage_rows(evaluation):
        table.add_row(name, value, *[""] * (len(columns) - 1))
    return table


def _statistics(errors: ErrorStatistics | None) -> str:
    if errors is None:
        return "n/a"
    return f"{errors.rmse:.4g} / {errors.mean:.4g} / {errors.median:.4g} / {errors.max:.4g}"


def _relative(error: RelativeError | None) -> str:
    if error is None:
        return "n/a"
    return f"{error.translation_rmse_m:.4g} m / {error.rotation_rmse_deg:.4g} deg"


def _component_cells(score: ComponentScore, rpe_delta_s: float) -> dict[str, str]:
    kitti = score.kitti
    return {
        "poses scored": str(score.n_poses),
        "ATE, Sim(3) (m) *": _statistics(score.ate_sim3_m),
        "ATE, SE(3) (m) *": _statistics(score.ate_se3_m),
        "scale (reference per estimate)": number(score.scale),
        "ATE in % of path": number(score.ate_percent_of_path, 3, " %"),
        "path, angle turned": f"{score.path_length_m:.4g} m, {score.turned_deg:.4g} deg",
        "rotation (aligned by positions), deg *": _statistics(score.rotation_ape_deg),
        "rotation (aligned by rotations), deg *": _statistics(score.rotation_only_ape_deg),
        "RPE, 1 frame (rmse)": _relative(score.rpe_frame),
        f"RPE, {rpe_delta_s:g} s (rmse)": _relative(score.rpe_time),
        "KITTI t_rel, r_rel": "n/a" if kitti is None
        else f"{kitti.translation_percent:.4g} %, {kitti.rotation_deg_per_100m:.4g} deg/100 m",
        "scale drift, last / first quarter": number(score.scale_drift),
        "trivial ATE: centroid, line": f"{score.centroid_ate_m:.4g} m, {score.line_ate_m:.4g} m",
    }  # fmt: skip


def _coverage_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    c = evaluation.coverage
    covered = "n/a (number of frames not known)"
    if c.coverage is not None:
        covered = f"{c.coverage:.4f} ({c.n_scored} of {c.n_frames}), largest component {c.coverage_largest:.4f}"
    inferred = "" if c.gaps_from_frames else " (inferred from the times of the poses)"
    return [
        ("coverage", covered),
        ("components", str(c.n_components)),
        ("losses", f"{c.n_losses}{inferred}"),
        ("longest gap", f"{c.longest_gap_frames} frames, {c.longest_gap_s:.4g} s{inferred}"),
    ]
