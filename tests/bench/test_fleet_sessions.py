"""The merge of sessions against one graph: what the measurement says where the answer is known."""

from pathlib import Path

import numpy as np
import pytest

from bench import fleet_sessions
from bench.fleet_drives import CITY, KINDS, Kind, _measured
from vgslam.geometry import se3


def ring(n: int = 240) -> np.ndarray:
    """Poses (n,4,4) of a car that drives round a ring of 60 m radius twice."""
    out = []
    for a in 4 * np.pi * np.arange(n) / n:
        out.append(se3.from_rt(se3.so3_exp(np.array([0.0, -a, 0.0])), 60 * np.array([np.cos(a), 0.0, np.sin(a)])))
    return np.stack(out)


def test_without_noise_sessions_and_one_graph_are_the_truth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fleet_sessions, "_noisy", lambda S, sigmas, rng: S)
    row = fleet_sessions._measured(ring(), 1, tmp_path)
    assert row["sessions_merged"] == fleet_sessions.N_SESSIONS
    assert row["loops"] > 90
    assert max(row["whole_m"], row["merged_m"], row["odometry_m"]) < 0.01


def test_loops_mend_what_odometry_drifts(tmp_path: Path) -> None:
    row = fleet_sessions._measured(ring(), 2, tmp_path)
    assert row["sessions_merged"] == fleet_sessions.N_SESSIONS
    assert row["whole_m"] < row["odometry_m"]
    assert row["merged_m"] < row["odometry_m"]


@pytest.mark.parametrize(
    ("kind", "n_false", "n_merges"),
    [(KINDS[0], 0, 0), (KINDS[0], 1, 0), (KINDS[0], 3, 0), (KINDS[1], 2, 0), (KINDS[2], 2, 0), (KINDS[3], 2, 1)],
)
def test_drives_of_one_city_are_one_map_and_a_look_alike_is_not_but_for_a_street_built_twice(
    kind: Kind, n_false: int, n_merges: int
) -> None:
    row = _measured(ring(1000), 3, kind, n_false)
    assert (row["city_together"], row["true_lost"]) == (CITY, 0)
    assert (row["false_merges"], row["false_bonds"]) == (n_merges, n_false)
