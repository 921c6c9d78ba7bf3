"""`python -m bench city`: the drive, its frames on disk, and what is measured of a run."""

from pathlib import Path

import numpy as np
import pytest

from bench import city_film
from bench.child_cost import CostRecord, run_measured
from bench.city_drive import is_same_place
from bench.city_film import FilmSpec, film_city
from bench.city_route import FULL_LENGTH, RATE_HZ, Drive, city_drive
from vgslam.errors import InputError
from vgslam.sources.open import open_source
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Trajectory
from vgslam_train.worlds.city import CityPlan, city
from vgslam_train.worlds.streets import ROAD_M

PLAN = CityPlan()
SMALL = FilmSpec(3, (32, 24), supersample=1)


@pytest.fixture(scope="module")
def drive() -> Drive:
    return city_drive(PLAN, FULL_LENGTH, 5)


def test_a_car_could_drive_it(drive: Drive) -> None:
    step = np.linalg.norm(np.diff(drive.T_world_cam[:, :3, 3], axis=0), axis=1)
    assert step.min() > 0.2
    assert step.max() < 0.8
    assert np.median(step) > 0.5
    R = drive.T_world_cam[:, :3, :3]
    turn = np.degrees(np.arccos(np.clip((np.einsum("nij,nij->n", R[:-1], R[1:]) - 1) / 2, -1, 1)))
    assert turn.max() < 3.0
    ahead = np.einsum("ni,ni->n", np.diff(drive.T_world_cam[:, :3, 3], axis=0) / step[:, None], R[:-1, :, 2])
    assert ahead.min() > np.cos(np.radians(6))
    np.testing.assert_allclose(np.diff(drive.timestamps_s), 1 / RATE_HZ)


def test_it_stays_in_the_right_lane(drive: Drive) -> None:
    x, y = drive.T_world_cam[:, :2, 3].T
    from_middle = np.minimum(*(np.abs(v - np.round(v / p) * p) for v, p in zip((x, y), PLAN.pitch_m, strict=True)))
    assert from_middle.max() < ROAD_M / 2
    assert np.median(from_middle) == pytest.approx(1.8, abs=0.2)


def test_it_returns_over_streets_of_before_in_the_same_direction(drive: Drive) -> None:
    half = FULL_LENGTH // 2 + 100
    P, ahead = drive.T_world_cam[:, :2, 3], drive.T_world_cam[:, :2, 2]
    apart = np.linalg.norm(P[half:, None] - P[None, :half:2], axis=2)
    same = (apart < 1.5) & (ahead[half:] @ ahead[:half:2].T > 0.9)
    again = same.any(1)
    assert 600 < 0.55 * again.sum() < 1200  # metres
    longest = max(len(run) for run in "".join("x" if a else " " for a in again).split())
    assert 0.55 * longest > 400
    assert apart[-1, : half // 20].min() < 2.0  # back where it began
    assert drive.length_m == pytest.approx(2900, abs=30)


def test_a_shorter_drive_is_its_beginning(drive: Drive) -> None:
    np.testing.assert_array_equal(city_drive(PLAN, 40, 5).T_world_cam, drive.T_world_cam[:40])
    with pytest.raises(ValueError, match="5001"):
        city_drive(PLAN, FULL_LENGTH + 1, 5)


def test_frames_are_rendered_once_and_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def coarse(seed, plan, bank):
        made.append(seed)
        return city(seed, plan, type(bank)(seed, 16), variants=1, grid=2)

    monkeypatch.setattr(city_film, "city", coarse)
    folder = film_city(SMALL, 5, tmp_path)
    first = city_film.image_file(folder, 2).read_bytes()
    assert film_city(SMALL, 5, tmp_path) == folder
    assert len(made) == 1
    film_city(SMALL, 7, tmp_path)
    assert city_film.image_file(folder, 2).read_bytes() == first
    city_film.image_file(folder, 2).unlink()
    film_city(SMALL, 3, tmp_path)
    assert city_film.image_file(folder, 2).read_bytes() == first
    source = open_source(folder)
    assert [f.timestamp_s for f in source] == pytest.approx(np.arange(7) / RATE_HZ, abs=1e-6)
    assert source.camera is not None
    assert source.camera.fx == pytest.approx(SMALL.camera.fx)
    truth = read_trajectory(folder / "groundtruth.txt")
    np.testing.assert_allclose(truth.T_world_cam, city_drive(PLAN, 7, 3).T_world_cam, atol=1e-5)


def test_a_loop_is_false_where_its_frames_see_different_places(drive: Drive) -> None:
    truth = Trajectory(drive.timestamps_s, drive.T_world_cam)
    P, ahead = drive.T_world_cam[:, :2, 3], drive.T_world_cam[:, :2, 2]
    apart = np.linalg.norm(P[4000:, None] - P[None, :1500], axis=2)
    later, earlier = np.unravel_index(np.argmin(apart + 100 * (ahead[4000:] @ ahead[:1500].T < 0.9)), apart.shape)
    assert is_same_place(truth, int(earlier), 4000 + int(later))
    assert not is_same_place(truth, 100, 1000)
    turned = truth.T_world_cam.copy()
    turned[0, :3, :3] = turned[0, :3, :3] @ np.diag([-1.0, 1.0, -1.0])
    assert not is_same_place(Trajectory(truth.timestamps_s, turned), 0, 1)


def test_cost_by_frame() -> None:
    cpu_at_s, resident_mib = np.array([1.0, 1.5, 2.0, 4.0, 6.0]), np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    record = CostRecord(cpu_at_s, resident_mib, 8.0, 60.0, 9.0, {"map": np.array([0.0, 0.5, 1.0, 1.0, 1.5])})
    assert record.ms_per_frame(0, 3) == pytest.approx(500)
    assert record.ms_per_frame(2, 5) == pytest.approx(2000)
    assert record.frames_cpu_s == 5.0
    assert [(row["begin"], row["end"]) for row in record.table(2)] == [(0, 2), (2, 4)]
    last = {"begin": 3, "end": 5, "cpu_ms": 2000.0, "resident_mib": 50.0, "stages": {"map": 500.0}}
    assert record.table(3)[-1] == last


def test_a_run_is_noted_frame_by_frame(demo_folder: Path, tmp_path: Path) -> None:
    words = f"run {demo_folder} --network none --max-frames 40 --quiet --out {tmp_path / 'o'}".split()
    record = run_measured(words, tmp_path / "log")
    assert len(record.cpu_at_s) == len(record.resident_mib) == 40
    assert (np.diff(record.cpu_at_s) > 0).all()
    assert record.cpu_at_s[-1] <= record.cpu_s + 0.02  # what the system counts in ticks of 10 ms
    assert {"prepare", "track", "map"} <= record.stage_at_s.keys()
    assert sum(x[-1] for x in record.stage_at_s.values()) <= record.cpu_at_s[-1]
    assert 0 < record.resident_mib.max() <= record.peak_mib + 1
    assert "40 frames" in (tmp_path / "log").read_text()


def test_a_run_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exit code 2 after 0 frames"):
        run_measured(["run", str(tmp_path / "nowhere")], tmp_path / "log")


@pytest.mark.parametrize("words", [("--frames", 6000), ("--frames", 2), ("--supersample", 0)])
def test_nothing_to_measure(words: tuple[object, ...], bench, tmp_path: Path) -> None:
    code, _, err = bench("city", *words, "--out", tmp_path / "bench")
    assert code == 2
    assert "--frames must be" in err
    assert not (tmp_path / "bench").exists()
