"""Measured positions: read, matched in time, aligned though some are wrong, and bending the path."""

from pathlib import Path

import numpy as np
import pytest
from metric_scene import S_MAP_WORLD, centres, curve, straight, true_centres, up_of, walk

from vgslam.errors import GraphError, InputError
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import fit_similarity
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.position_fixes import PositionFix, bend
from vgslam.metric.fulfil import fulfil, read_request
from vgslam.metric.positions import match
from vgslam.sources.position_file import Fixes, read_accelerations, read_fixes
from vgslam.types import Array


def write(path: Path, times: Array, positions: Array, head: str = "time,x,y,z") -> Path:
    rows = [f"{t:.6f},{x:.9f},{y:.9f},{z:.9f}" for t, (x, y, z) in zip(times, positions)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def rms(a: Array, b: Array) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(axis=1).mean()))


def test_positions_put_the_map_into_their_axes_and_metres(tmp_path: Path) -> None:
    w = walk(curve())
    at = true_centres(w)
    file = write(tmp_path / "p.csv", np.arange(16) * 0.5, at)
    [found] = fulfil(w.slam_map, read_request(f"positions:{file}=0.01", "positions"))
    assert found.metres_per_unit == pytest.approx(1 / S_MAP_WORLD.s, rel=1e-6)
    np.testing.assert_allclose(centres(w), at, atol=1e-5)
    np.testing.assert_allclose(w.slam_map.T_world_keyframes(np.arange(16)), w.T_world_cam, atol=1e-4)
    assert found.is_upright
    assert found.scale_from == "positions"


def test_positions_take_out_drift_and_what_is_far_off_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    w = walk(curve(40), scale_drift=1.5)
    at = true_centres(w)
    noisy = at + rng.normal(0, 0.02, at.shape)
    noisy[[7, 25]] += [[3.0, -2.0, 1.0]]
    scaled_only = fit_similarity(at, centres(w))
    file = write(tmp_path / "p.csv", np.arange(40) * 0.5, noisy)
    [found] = fulfil(w.slam_map, read_request(f"positions:{file}=0.02", None))
    assert rms(scaled_only.S.apply(centres(walk(curve(40), scale_drift=1.5))), at) > 0.05
    assert rms(centres(w), at) < 0.02
    assert any("2 of 40 positions contradict" in line for line in found.lines())
    assert found.residual_rms_m == pytest.approx(0.02 * np.sqrt(3), rel=0.35)
    assert not found.is_upright


def test_the_deviation_of_positions_is_measured_where_it_is_not_stated(tmp_path: Path) -> None:
    errors = {}
    for given in ("", "=0.03"):
        w = walk(curve(60), scale_drift=1.3)
        at = true_centres(w)
        file = write(tmp_path / "p.csv", np.arange(60) * 0.5, at + np.random.default_rng(2).normal(0, 0.03, at.shape))
        fulfil(w.slam_map, read_request(f"positions:{file}{given}", None))
        errors[given] = rms(centres(w), at)
    assert errors[""] < 1.3 * errors["=0.03"] + 0.002
    assert errors["=0.03"] < 0.03


def test_a_straight_line_leaves_its_roll_to_the_cameras_and_says_so(tmp_path: Path) -> None:
    w = walk(straight(), scale_drift=1.2)
    at = true_centres(w)
    file = write(tmp_path / "p.csv", np.arange(16) * 0.5, at + np.random.default_rng(0).normal(0, 0.01, at.shape))
    [found] = fulfil(w.slam_map, read_request(f"positions:{file}=0.01", "positions"))
    assert any("straight line" in line for line in found.lines())
    assert up_of(w)[2] > np.cos(np.radians(3.0))
    assert rms(centres(w), at) < 0.03  # drift along the line is taken out all the same
    assert found.gravity_sigma_deg is not None
    assert found.gravity_sigma_deg > 2.0


@pytest.mark.parametrize(("shift_s", "n", "said"), [(1e6, 16, "0 of 16 keyframes"), (0.0, 2, "2 of 16 keyframes")])
def test_positions_of_another_time_or_too_few_are_refused(tmp_path: Path, shift_s: float, n: int, said: str) -> None:
    w = walk(curve())
    file = write(tmp_path / "p.csv", np.arange(n) * 0.5 + shift_s, true_centres(w)[:n])
    with pytest.raises(InputError, match=said) as caught:
        fulfil(w.slam_map, read_request(f"positions:{file}", None))
    assert "are both of one clock?" in str(caught.value)
    assert not w.slam_map.worlds


def test_positions_that_stand_still_or_are_too_vague_tell_no_scale(tmp_path: Path) -> None:
    vague = np.random.default_rng(0).normal(size=(16, 3))
    for positions, said in ((np.zeros((16, 3)), "scale"), (vague, "scale open")):
        w = walk(curve())
        file = write(tmp_path / "p.csv", np.arange(16) * 0.5, positions)
        with pytest.raises(InputError, match=said):
            fulfil(w.slam_map, read_request(f"positions:{file}=5", None))


def test_positions_are_interpolated_but_not_across_gaps() -> None:
    w = walk(curve())
    t = np.array([0.0, 0.4, 0.8, 1.2, 4.4, 4.8, 5.2])
    fixes = Fixes(t, np.stack([t, 2 * t, 0 * t], axis=1), None, False)
    found = match(w.slam_map.keyframes, fixes)
    assert found.ids.tolist() == [0, 1, 2, 9, 10]  # 0, 0.5, 1.0, then 4.5 and 5.0 s
    np.testing.assert_allclose(found.positions[:, 0], [0.0, 0.5, 1.0, 4.5, 5.0])
    np.testing.assert_allclose(found.positions[:, 1], 2 * found.positions[:, 0])


def test_a_similarity_is_found_though_many_are_wrong() -> None:
    rng = np.random.default_rng(0)
    S = Sim3(se3.so3_exp(rng.normal(size=3)), rng.normal(size=3), 3.7)
    b = rng.normal(size=(60, 3))
    a = S.apply(b) + rng.normal(0, 0.01, (60, 3))
    wrong = np.arange(60) < 26
    a[wrong] += np.array([30.0, -10.0, 5.0]) + rng.normal(0, 5, (26, 3))
    found = fit_similarity(a, b)
    assert found.S.s == pytest.approx(3.7, rel=0.005)
    assert se3.angle_deg(found.S.R.T @ S.R) < 0.5
    assert 0.005 < found.sigma < 1.0
    assert (found.weights[wrong] == 0).all()
    with pytest.raises(ValueError, match="needs 3"):
        fit_similarity(a[:2], b[:2])
    with pytest.raises(ValueError, match="coincide"):
        fit_similarity(a, np.ones((60, 3)))


def test_one_position_moves_the_whole_graph_and_deviations_weigh() -> None:
    w = walk(curve(), S_map_world=Sim3.identity())
    m = w.slam_map
    nodes, edges = {k.id: k.S_world_keyframe for k in m.keyframes}, list(m.edges.values())
    at, shift = centres(w).copy(), np.array([0.3, -0.2, 0.1])
    moved = bend(nodes, edges, [PositionFix(k, at[k] + shift, np.full(3, 0.01)) for k in (0, 8, 15)])
    np.testing.assert_allclose(np.stack([moved[k].t for k in range(16)]), at + shift, atol=1e-3)
    followed = []
    for sigma in (0.003, 0.3):  # only the one that is off is sure, or vague
        fixes = [PositionFix(k, at[k], np.full(3, 0.01)) for k in range(16) if k != 8]
        off = bend(nodes, edges, [*fixes, PositionFix(8, at[8] + shift / 10, np.full(3, sigma))])[8].t - at[8]
        followed.append(float(off @ shift / (shift @ shift / 10)))
    assert followed[0] > 0.7
    assert abs(followed[1]) < 0.05
    with pytest.raises(GraphError, match="no position"):
        bend(nodes, edges, [])
    with pytest.raises(GraphError, match="disconnected"):
        bend(nodes, edges[:5] + edges[6:], fixes)


def test_files_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("Timestamp [ns], p_x [m], p_y [m], p_z [m], sigma\n"
                    "1500000000500000000,1,2,3,0.5\n1500000000000000000,4,5,6,0.25\n\n")  # fmt: skip
    fixes = read_fixes(file)
    np.testing.assert_allclose(fixes.times_s, [1.5e9, 1.5e9 + 0.5])
    np.testing.assert_allclose(fixes.positions_m, [[4, 5, 6], [1, 2, 3]])
    assert fixes.sigmas_m is not None
    np.testing.assert_allclose(fixes.sigmas_m[0], 0.25)
    assert not fixes.is_up_known
    file.write_text("# timestamp tx ty tz qx qy qz qw, a comment\n1.0 1 2 3 0 0 0 1\n2.0 4 5 6 0 0 0 1\n")
    np.testing.assert_allclose(read_fixes(file).positions_m, [[1, 2, 3], [4, 5, 6]])
    file.write_text("time,ax,ay,az\n0,1,2,3\n")
    np.testing.assert_allclose(read_accelerations(file).values, [[1, 2, 3]])


def test_latitudes_become_local_metres_with_z_up(tmp_path: Path) -> None:
    file = tmp_path / "gps.csv"
    file.write_text("t,lat,lon,alt\n0,50.0,8.0,100\n1,50.001,8.0,100\n2,50.0,8.001,100\n3,50.0,8.0,130\n")
    fixes = read_fixes(file)
    assert fixes.is_up_known
    np.testing.assert_allclose(
        fixes.positions_m, [[0, 0, 0], [0, 111.23, 0], [71.70, 0, 0], [0, 0, 30]], atol=0.02
    )  # degree lengths on WGS 84 at 50 deg: 111.229 km and 71.696 km


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,u,v\n1,2,3\n", "no columns x,y,z or latitude,longitude"), ("x,y,z\n1,2,3\n", "no column time"),
        ("time,x,y,z\n1,2,a,3\n", "row 2"), ("time,x,y,z\n", "no row"),
        ("time,lat,lon\n0,95,3\n1,2,3\n", "out of range"),
        ("time,lat,lon\n0,0,3\n1,20,3\n", "km apart"), ("time,x,y,z,sigma\n1,2,3,4,-1\n", "not positive"),
        ("1 2 3\n", "neither a TUM"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "p.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_fixes(file)
    assert "\n" not in str(caught.value)
