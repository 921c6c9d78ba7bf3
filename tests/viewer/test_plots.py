import warnings
from io import BytesIO

import cv2
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from vgslam.types import Sim3, Status, Trajectory
from vgslam.viewer import plots
from vgslam.viewer.lettering import fonts_for
from vgslam.viewer.style import LOST_COLOR, component_color, png_bytes, svg_bytes


def path(n=30, axes=(0, 2)):
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, axes[0], 3] = np.linspace(0, 3, n)
    T[:, axes[1], 3] = np.sin(np.linspace(0, 3, n)) + 1
    return Trajectory(0.1 * np.arange(n), T)


def line(figure, label):
    found = [item for item in figure.axes[0].get_lines() if item.get_label() == label]
    assert len(found) == 1, label
    return np.stack(found[0].get_data(), axis=1)


@pytest.mark.parametrize(("axes", "names"), [((0, 2), "xz"), ((0, 1), "xy"), ((1, 2), "yz")])
def test_top_view_shows_the_axes_of_largest_extent(axes, names):
    trajectory = path(axes=axes)
    figure = plots.top_view(trajectory)
    assert figure.axes[0].get_xlabel()[0] + figure.axes[0].get_ylabel()[0] == names
    assert "map units" in figure.axes[0].get_xlabel()
    assert np.allclose(line(figure, "estimate"), trajectory.T_world_cam[:, list(axes), 3])


def test_down_is_drawn_downwards():
    assert plots.top_view(path(axes=(0, 1))).axes[0].yaxis_inverted()
    assert not plots.top_view(path(axes=(0, 2))).axes[0].yaxis_inverted()


def test_estimate_is_aligned_to_the_truth():
    truth = path()
    S = Sim3(np.diag([-1.0, -1.0, 1.0]), np.array([4.0, 5.0, 6.0]), 2.0)
    estimate = Trajectory(truth.timestamps_s, np.array([S.inverse().compose_pose(T) for T in truth.T_world_cam]))
    figure = plots.top_view(estimate, truth, {0: S})
    assert np.allclose(line(figure, "estimate"), truth.T_world_cam[:, [0, 2], 3])
    assert np.allclose(line(figure, "truth"), truth.T_world_cam[:, [0, 2], 3])
    assert figure.axes[0].get_xlabel() == "x [m]"


def test_components_have_their_colours_and_one_without_alignment_is_named():
    truth = path()
    components = np.repeat([0, 4], [20, 10])
    estimate = Trajectory(truth.timestamps_s, truth.T_world_cam, np.arange(30), components)
    both = plots.top_view(estimate, truth, {0: Sim3.identity(), 4: Sim3.identity()})
    colors = {item.get_label(): item.get_color() for item in both.axes[0].get_lines()}
    assert colors["component 0"] == component_color(0) != colors["component 4"] == component_color(4)
    one = plots.top_view(estimate, truth, {0: Sim3.identity()})
    assert "component 4" in one.axes[0].get_title(loc="left")
    assert len(line(one, "component 0")) == 20


def test_lost_stretches_are_red_on_the_truth():
    truth = path()
    keep = np.ones(30, bool)
    keep[10:14] = False
    estimate = Trajectory(truth.timestamps_s[keep], truth.T_world_cam[keep], np.flatnonzero(keep))
    figure = plots.top_view(estimate, truth, {0: Sim3.identity()}, truth.timestamps_s[~keep])
    red = line(figure, "no pose")
    assert np.flatnonzero(np.isfinite(red[:, 0])).tolist() == [10, 11, 12, 13]
    drawn = line(figure, "estimate")
    assert np.flatnonzero(np.isnan(drawn[:, 0])).tolist() == [10]  # the line is broken there


def test_lost_stretches_without_truth_are_bridged_by_dots():
    truth = path()
    keep = np.ones(30, bool)
    keep[10:14] = False
    estimate = Trajectory(truth.timestamps_s[keep], truth.T_world_cam[keep], np.flatnonzero(keep))
    figure = plots.top_view(estimate, lost_timestamps_s=truth.timestamps_s[~keep])
    dotted = [i for i in figure.axes[0].get_lines() if i.get_color() == LOST_COLOR and len(i.get_xdata()) == 2]
    assert len(dotted) == 1
    assert np.allclose(dotted[0].get_xdata(), truth.T_world_cam[[9, 14], 0, 3])


def test_truth_is_cut_to_the_time_of_the_run():
    truth = path(300)
    estimate = Trajectory(truth.timestamps_s[100:150], truth.T_world_cam[100:150])
    assert 50 <= len(line(plots.top_view(estimate, truth, {0: Sim3.identity()}), "truth")) <= 52


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_pose(n):
    trajectory = Trajectory(np.arange(float(n)), np.tile(np.eye(4), (n, 1, 1)))
    assert png_bytes(plots.top_view(trajectory)).startswith(b"\x89PNG")
    texts = [t.get_text() for t in plots.top_view(trajectory).axes[0].texts]
    assert texts == (["no frame has a pose"] if n == 0 else [])


def test_errors_are_drawn_against_time_with_gaps_open():
    t = np.concatenate([np.arange(10), 20 + np.arange(5)]) * 0.1 + 100
    curve = plots.ErrorCurve(1, t, np.linspace(1, 2, 15), np.zeros(15))
    figure = plots.error_over_time([curve])
    upper = figure.axes[0].get_lines()[0]
    assert upper.get_color() == component_color(1)
    assert np.isnan(upper.get_ydata()).sum() == 1
    assert upper.get_xdata()[0] == 0
    assert np.nanmax(upper.get_xdata()) == pytest.approx(2.4)
    assert png_bytes(plots.error_over_time([])).startswith(b"\x89PNG")


def test_status_bar_has_a_stretch_for_every_run_of_a_status():
    statuses = [Status.INITIALIZING] * 3 + [Status.TRACKED] * 5 + [Status.LOST] * 2 + [Status.RELOCALIZED]
    figure = plots.status_over_time(0.5 * np.arange(11), statuses, np.array([0] * 8 + [1] * 3))
    boxes = [c.get_paths()[0].get_extents() for c in figure.axes[0].collections]
    spans = [(round(box.x0, 6), round(box.x1, 6)) for box in boxes]
    assert spans[:4] == [(0, 1.5), (1.5, 4), (4, 5), (5, 5.5)]  # statuses
    assert spans[4:] == [(1.5, 4), (5, 5.5)]  # components, frames with a pose only
    assert "lost 2" in figure.axes[0].get_title(loc="left")
    assert png_bytes(plots.status_over_time(np.zeros(0), [], np.zeros(0, np.int64))).startswith(b"\x89PNG")
    assert png_bytes(plots.status_over_time(np.zeros(1), [Status.LOST], np.zeros(1, np.int64), np.array([4])))


def test_the_same_figure_gives_the_same_bytes():
    assert png_bytes(plots.top_view(path())) == png_bytes(plots.top_view(path()))


def test_a_plot_is_what_savefig_draws():
    for draw in (plots.top_view, lambda t: plots.status_over_time(t.timestamps_s, [Status.TRACKED] * 30, np.zeros(30))):
        buffer = BytesIO()
        draw(path()).savefig(buffer, format="png", facecolor="white")
        pixels = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (
            png_bytes(draw(path())), buffer.getvalue())]  # fmt: skip
        np.testing.assert_array_equal(*pixels)


ODD_NAMES = ("shot_$5_and_$6.mp4", r"$\nonsense$", "$^$", "日本.mp4", "a\tb", "\udcff.mp4", "😀")


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("draw", [png_bytes, svg_bytes])
def test_any_name_is_drawn_as_it_is_and_without_a_word(name, draw):
    statuses = [Status.TRACKED] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            plots.top_view(path(), title=name),
            plots.error_over_time([plots.ErrorCurve(0, np.arange(3.0), np.ones(3), np.ones(3))], title=name),
            plots.status_over_time(np.arange(3.0), statuses, np.zeros(3, np.int64), title=name),
        ):  # fmt: skip
            assert len(draw(figure)) > 1000
            assert any(name.replace("\udcff", "\ufffd") in text.get_text() for text in figure.findobj(Text))


def test_a_dollar_is_not_mathematics():
    drawn = []
    for name in (10 * "$x$ ", 10 * "x "):
        figure = plots.top_view(path(), title=name)
        png_bytes(figure)
        drawn.append(next(t for t in figure.findobj(Text) if t.get_text() == name).get_window_extent().width)
    assert drawn[0] > 1.5 * drawn[1]  # the signs take room


def test_a_character_that_the_usual_font_lacks_is_taken_from_another_that_is_installed():
    usual, other = (
        font_manager.get_font(font_manager.findfont(font_manager.FontProperties([name]))).get_charmap()
        for name in ("sans-serif", "STIXGeneral")
    )
    character = chr(min(set(other) - set(usual)))
    assert fonts_for("plain.mp4") == ()
    assert fonts_for(f"a{character}b")
    figure = plots.top_view(path(), title=character)
    png_bytes(figure)
    [title] = [text for text in figure.findobj(Text) if text.get_text() == character]
    assert title.get_fontfamily() == ["sans-serif", *fonts_for(character)]
