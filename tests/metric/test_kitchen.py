"""A real recording becomes metric: by the depth camera beside it, and by noisy positions that also take out drift."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.evaluation.evaluate import evaluate
from vgslam.evaluation.scores import ComponentScore
from vgslam.map.slam_map import SlamMap
from vgslam.metric.fulfil import fulfil, read_request
from vgslam.sources import read_trajectory
from vgslam.store.open import load_map
from vgslam.types import Trajectory

KITCHEN = Path(__file__).parents[3] / "shared" / "data" / "7scenes_redkitchen_seq01"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not KITCHEN.is_dir(), reason="the real sequences (../shared/data) are not here"),
]  # fmt: skip


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The map of the first 150 frames; do not write into it."""
    from vgslam.cli import main

    folder = tmp_path_factory.mktemp("kitchen")
    words = ["run", KITCHEN, "--network", "none", "--max-frames", 150, "--out", folder / "out", "--quiet"]
    assert main([str(w) for w in [*words, "--map", folder / "k.map"]]) == 0
    return folder / "k.map"


@pytest.fixture(scope="module")
def truth() -> Trajectory:
    return read_trajectory(KITCHEN / "groundtruth_sfm.txt", is_metric=True)


def score(slam_map: SlamMap, truth: Trajectory) -> ComponentScore:
    return evaluate(slam_map.trajectory(), truth).headline


def test_measured_depth_gives_the_scale_within_three_percent(kitchen: Path, truth: Trajectory) -> None:
    m = load_map(kitchen)
    unscaled = score(m, truth).scale
    assert unscaled is not None
    assert abs(unscaled - 1.0) > 0.1
    [found] = fulfil(m, read_request(f"depth:{KITCHEN}", None))
    assert score(m, truth).scale == pytest.approx(1.0, abs=0.03)
    assert found.scale_sigma_percent is not None
    assert 0.5 < found.scale_sigma_percent < 3.0


def test_noisy_positions_make_it_metric_and_more_accurate(kitchen: Path, truth: Trajectory, tmp_path: Path) -> None:
    m, sigma_m = load_map(kitchen), 0.01
    at = truth.T_world_cam[:, :3, 3] + np.random.default_rng(1).normal(0, sigma_m, (len(truth), 3))
    rows = [f"{t},{x},{y},{z}" for t, (x, y, z) in zip(truth.timestamps_s, at)]
    (tmp_path / "p.csv").write_text("\n".join(["time,x,y,z", *rows]))
    scaled_by_truth = score(m, truth).ate_m.rmse
    fulfil(m, read_request(f"positions:{tmp_path / 'p.csv'}={sigma_m}", None))
    assert score(m, truth).ate_se3_m.rmse <= scaled_by_truth + 0.2 * sigma_m
    T = m.trajectory()
    own = [int(np.abs(truth.timestamps_s - t).argmin()) for t in T.timestamps_s]
    off = np.linalg.norm(T.T_world_cam[:, :3, 3] - truth.T_world_cam[own, :3, 3], axis=1)
    assert np.sqrt((off**2).mean()) < scaled_by_truth + sigma_m  # in the axes of the positions, not aligned at all
