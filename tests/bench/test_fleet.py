"""The made-up maps of `python -m bench fleet` overlap where the trajectory does; results that differ are named."""

import numpy as np

from bench.fleet_cluster import differing
from bench.fleet_made_up import places_of
from bench.fleet_scale import _measured, _page
from vgslam.geometry import se3


def ring(n=600, radius=60.0):
    """A drive twice round a circle, looking ahead."""
    angle = 4 * np.pi * np.arange(n) / n
    T = np.tile(np.eye(4), (n, 1, 1))
    for k, a in enumerate(angle):
        T[k] = se3.from_rt(se3.so3_exp(np.array([0, a, 0])), radius * np.array([-np.cos(a), 0, np.sin(a)]))
    return T


def test_the_second_round_shows_the_places_of_the_first():
    places = places_of(ring())
    assert (places[:300] == places[300:]).mean() > 0.95
    assert len(np.unique(places)) > 50


def test_pairs_of_made_up_maps_overlap_and_false_bonds_are_out():
    row = _measured(ring(), 60)
    assert row["pairs"] > 100
    assert row["pairs_that_overlap"] == row["pairs"]
    assert row["false"] > 0
    assert row["false_used"] == 0
    assert row["largest_group"] == 60
    assert "| 60 |" in _page([row])[-1]


def test_results_that_differ_are_named(tmp_path):
    for name, text in (("a", "1"), ("b", "2")):
        folder = tmp_path / name / "results" / "walk-0"
        folder.mkdir(parents=True)
        (folder / "trajectory.tum").write_text(text)
        (folder / "report.json").write_text(text)
        (folder / "same").write_text("same")
    (tmp_path / "a" / "results" / "walk-0" / "more").touch()
    assert differing(tmp_path / "a", tmp_path / "b") == ["walk-0/more", "walk-0/trajectory.tum"]
