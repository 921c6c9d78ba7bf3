"""The sections of the page; each is empty if the run has no data for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgslam.results.page import html
from vgslam.results.page.html import label
from vgslam.results.page.run_data import RunData, amount, listed, mapping
from vgslam.results.plots import error_figure, path_figure, status_figure
from vgslam.results.report import WITHOUT_NETWORK
from vgslam.results.status import StatusTable
from vgslam.types import Edge, Status

NEW_COMPONENT, END = "a new component", "the end of the run"


@dataclass(frozen=True)
class Span:
    """Consecutive frames without a pose."""

    first_frame: int
    start_s: float
    n_frames: int
    duration_s: float  # time from the last pose before to the first one after, or to the last frame
    ended_by: str  # RELOCALIZED or TRACKED (the status of the next pose), NEW_COMPONENT or END


def spans_without_pose(frames: StatusTable) -> list[Span]:
    """Every span after the first pose, in time order; the frames before it are the start of tracking, not a loss."""
    with_pose = [i for i, s in enumerate(frames.statuses) if s.has_pose]
    n = len(frames.statuses)
    spans = []
    for before, after in zip(with_pose, [*with_pose[1:], n]):
        if after == before + 1:
            continue
        last = min(after, n - 1)
        is_new = after < n and frames.component_ids[after] != frames.component_ids[before]
        ended_by = END if after == n else NEW_COMPONENT if is_new else frames.statuses[after].value
        t = frames.timestamps_s
        spans.append(Span(
            int(frames.frame_ids[before + 1]), float(t[before + 1]), after - before - 1, float(t[last] - t[before]),
            ended_by,
        ))  # fmt: skip
    return spans


MAX_ROWS = 40
ATE = "ATE (RMSE), m"


def headline(data: RunData) -> str:
    """What happened, in a few figures."""
    r = data.report
    tiles = [("frames", r.get("n_frames")), ("with a pose", _percent(data.coverage_percent))]
    if data.evaluation is not None:
        tiles.append((ATE, f"{data.evaluation.headline.ate_m.rmse:.3g}"))
    elif _recorded_ate(data) is not None:
        tiles.append((ATE, f"{_recorded_ate(data):.3g}"))
    tiles += [("keyframes", r.get("n_keyframes")), ("losses", r.get("n_losses"))]
    tiles += [("frames per CPU second", r.get("frames_per_cpu_s")), ("peak memory, MiB", r.get("peak_memory_mib"))]
    cells = "".join(
        f'<div class="tile"><b>{html.escape(_short(value))}</b><span>{html.escape(name)}</span></div>'
        for name, value in tiles if value is not None
    )  # fmt: skip
    stopped = "" if r.get("complete") else f"The run did not reach its end: {r.get('stopped_by') or 'reason not known'}"
    return f'<div class="tiles">{cells}</div>{html.paragraph(stopped, "warning")}'


def warnings(data: RunData) -> str:
    """What a user of the poses should know."""
    lines = [*map(str, listed(data.report.get("warnings"))), *data.notes]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines[:MAX_ROWS])
    more = html.paragraph(f"and {len(lines) - MAX_ROWS} more in report.json") if len(lines) > MAX_ROWS else ""
    return html.section("Warnings", f'<ul class="warning">{items}</ul>' if items else "", more)


def path(data: RunData) -> str:
    """The path, over the truth if there is one."""
    if data.run is None or not len(data.run.trajectory):
        return html.section("Path", _stored(data, "top_view.png", "path from above"))
    trajectory = data.run.trajectory
    if data.evaluation is None and "top_view.png" in data.plots and _recorded_ate(data) is not None:
        return html.section("Path", _stored(data, "top_view.png", "path from above, over the truth"))
    figure = path_figure(trajectory, data.run.frames, data.truth, data.evaluation)
    return html.section("Path", html.svg_image(figure, "path from above"))


def errors(data: RunData) -> str:
    """Errors over time, and the scores."""
    scores = html.pairs_table(_scores(data))
    if data.evaluation is None:
        return html.section("Error", _stored(data, "error.png", "error over time"), scores)
    figure = error_figure(data.evaluation, None if data.run is None else data.run.frames)
    return html.section("Error", html.svg_image(figure, "error over time", is_wide=True), scores)


def status(data: RunData) -> str:
    """Status and inliers of every frame."""
    if data.run is None or not len(data.run.frames.frame_ids):
        return html.section("Status", _stored(data, "status.png", "status over time"))
    figure = status_figure(data.run.frames)
    return html.section("Status", html.svg_image(figure, "status over time", is_wide=True))


def depth(data: RunData) -> str:
    """Keyframes and their depth."""
    return html.section("Depth", _stored(data, "depth.png", "keyframes and their depth"))


def relocalizations(data: RunData) -> str:
    """Times without a pose after tracking had begun, and how each ended."""
    if data.run is None:
        return ""
    spans = spans_without_pose(data.run.frames)
    header = ("from frame", "at [s]", "frames without a pose", "seconds", "ended by")
    rows = [(s.first_frame, s.start_s, s.n_frames, s.duration_s, s.ended_by) for s in spans[:MAX_ROWS]]
    return html.section("Losses and relocalizations", html.rows_table(header, rows), html.paragraph(_sum_up(spans)))


def _sum_up(spans: Sequence[Span]) -> str:
    if not spans:
        return ""
    n = sum(s.ended_by == Status.RELOCALIZED for s in spans)
    times = "Once" if len(spans) == 1 else f"{len(spans)} times"
    text = f"{times} without a pose, {n} ended by relocalization in the same map."
    return text if len(spans) <= MAX_ROWS else f"{text} The first {MAX_ROWS} are listed."


def loops(data: RunData, edges: Sequence[Edge]) -> str:
    """Loops that the report tells of, or else those of the map that the run was saved to."""
    told = html.section("Loops", records(data.report.get("loops")))
    if told or not edges:
        return told
    rows = [
        (e.id_a, e.id_b, e.kind.value.lower(), e.inlier_ratio, float(np.linalg.norm(e.S_a_b.t)), e.S_a_b.s)
        for e in edges[:MAX_ROWS]
    ]
    header = ("keyframe", "to keyframe", "kind", "inlier ratio", "distance [map units]", "relative scale")
    return html.section("Loops", html.rows_table(header, rows), html.paragraph(f"{len(edges)} in the map."))


def refinement(data: RunData) -> str:
    """The adjustment of the whole map at the end."""
    told = data.report.get("refinement")
    if not isinstance(told, dict):
        return ""
    lines = [html.paragraph(str(line)) for line in listed(told.get("lines"))]
    return html.section("Adjustment of the whole map", *lines)


def adaptation(data: RunData) -> str:
    """What was learnt during the run."""
    told = data.report.get("adaptation") or data.report.get("adapt")
    return html.section("Adaptation", records(told))


def records(told: Any) -> str:
    """Records of any kind: a list of them as a table, their summary as pairs."""
    if isinstance(told, Mapping):
        plain = {label(str(k)): v for k, v in told.items() if not _is_records(v)}
        lists = [html.heading(label(str(k))) + records(v) for k, v in told.items() if _is_records(v)]
        return html.pairs_table(plain) + "".join(lists)
    if _is_records(told):
        header = list(dict.fromkeys(key for row in told for key in row))
        rows = [[row.get(key) for key in header] for row in told[:MAX_ROWS]]
        return html.rows_table([label(str(key)) for key in header], rows)
    return html.paragraph(html.show(told)) if told else ""


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def live(data: RunData) -> str:
    """How a camera that does not wait was kept up with; empty for recordings."""
    told = data.report.get("live")
    if not isinstance(told, Mapping):
        return ""
    n, n_dropped = told.get("n_captured"), told.get("n_dropped")
    rows = {
        "frames captured": n, "dropped, as newer ones had come": n_dropped, "share dropped": _share(n_dropped, n),
        "damaged": told.get("n_damaged"), "reconnected": told.get("n_reconnects"),
        "frame to pose, median [ms]": told.get("latency_p50_ms"),
        "frame to pose, 95 % [ms]": told.get("latency_p95_ms"),
        "frame to pose, longest [ms]": told.get("latency_max_ms"),
        "lines of poses dropped by slow readers": told.get("n_pose_lines_dropped"),
        "ended by": data.report.get("stopped_by"),
    }  # fmt: skip
    return html.section("Live input", html.pairs_table(rows))


STAGES = {
    "frames": "poses of all frames, at the end", "depth": "dense depth, at the end", "prepare": "images, made ready",
    "track": "tracking",
    "initialize": "starts", "recover": "recovery",
    "map": "keyframes, new landmarks", "back": "old landmarks", "loops": "loops", "graph": "pose graph",
    "refine": "adjustment of the map", "splice": "joins of pieces",
}  # fmt: skip
"""What the stages of the report are called."""


def timings(data: RunData) -> str:
    """CPU seconds of the stages, as bars."""
    r = data.report
    told = {str(k): amount(v) for k, v in mapping(r.get("stage_cpu_s")).items()}
    stages = {name: s for name, s in told.items() if s is not None and s >= 0}
    n, total = amount(r.get("n_frames")) or 0, amount(r.get("cpu_s"))
    if total is not None and stages:
        stages["everything else"] = max(0.0, total - sum(stages.values()))
    longest = max(stages.values(), default=0.0) or 1.0
    rows = "".join(
        f"<tr><th>{html.escape(STAGES.get(name, name))}</th><td class='number'>{s:.3g} s</td>"
        f"<td class='number'>{1e3 * s / n if n else 0.0:.3g} ms a frame</td>"
        f"<td class='bar'><i style='width:{100 * s / longest:.1f}%'></i></td></tr>"
        for name, s in sorted(stages.items(), key=lambda item: -item[1])
    )
    about = {"whole run, CPU seconds": total, "whole run, seconds": r.get("wall_s")}
    table = f'<div class="scroll"><table class="timings">{rows}</table></div>' if rows else ""
    return html.section("Timings", table, html.pairs_table(about))


WITHOUT = {WITHOUT_NETWORK: "none"}


def circumstances(data: RunData) -> str:
    """Versions, machine, input, camera, weights, configuration."""
    r = data.report
    unasked = " (not asked)" if data.is_network_unasked else ""
    about = {
        "command": " ".join(map(str, listed(r.get("command")))) or None, "version": r.get("version"),
        "commit": r.get("commit"), "source": r.get("source_kind"),
        "network": f"{WITHOUT.get(r['model_id'], r['model_id'])}{unasked}" if r.get("model_id") else None,
        "what was asked of it": str(mapping(r.get("network")).get("line") or "").removeprefix("network: ") or None,
    }  # fmt: skip
    parts = [html.pairs_table(about)]
    for name in ("machine", "camera", "weights", "map"):
        told = html.pairs_table({label(str(k)): v for k, v in mapping(r.get(name)).items()})
        parts += [html.heading(name + (unasked if name == "weights" else "")), told] if told else []
    return html.section("Versions and settings", *parts, html.preformatted(data.config_text, "config.yaml"))


def _stored(data: RunData, name: str, alternative: str) -> str:
    is_wide = name != "top_view.png"
    return html.png_image(data.plots[name], alternative, is_wide) if name in data.plots else ""


def _recorded_ate(data: RunData) -> float | None:
    return amount(mapping(data.recorded_headline.get("ate_sim3_m")).get("rmse"))


def _scores(data: RunData) -> dict[str, Any]:
    head = data.recorded_headline
    ate, se3 = mapping(head.get("ate_sim3_m")), mapping(head.get("ate_se3_m"))
    turned, rpe = mapping(head.get("rotation_ape_deg")), mapping(head.get("rpe_time"))
    turned_only = mapping(head.get("rotation_only_ape_deg"))
    return {
        "poses scored": head.get("n_poses"), "ATE after Sim(3), RMSE [m]": ate.get("rmse"),
        "ATE after Sim(3), largest [m]": ate.get("max"), "ATE after SE(3), RMSE [m]": se3.get("rmse"),
        "scale (reference per estimate)": head.get("scale"), "path length [m]": head.get("path_length_m"),
        "ATE in % of the path": head.get("ate_percent_of_path"),
        "rotation (aligned by rotations), RMSE [°]": turned_only.get("rmse"),
        "rotation (aligned by positions), RMSE [°]": turned.get("rmse"),
        "RPE over 1 s, RMSE [m]": rpe.get("translation_rmse_m"),
        "RPE over 1 s, RMSE [°]": rpe.get("rotation_rmse_deg"),
        "path's end to its start [% of length]": data.report.get("end_to_start_percent"),
    }  # fmt: skip


def _share(part: Any, whole: Any) -> str | None:
    n, n_whole = amount(part), amount(whole)
    return f"{100 * n / n_whole:.1f} %" if n is not None and n_whole else None


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} %"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else html.show(value)
