"""`vgslam run --pieces`, as a person calls it; the pieces' maps are made up, so that no tracking takes place."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from fleet.piece_maps import CAMERA, ELSEWHERE, STEP_S, piece, true_pose

from vgslam.commands import pieces as pieces_command
from vgslam.fleet.task import Ending, Facts, Task, TaskResult
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.store.map_folder import MapFolder, check_map

N = 120
MADE_UP = ("--network", "none", "--no-refine", "--slam.loops.no-is-on")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path / "walk", N)


def recorded(folder: Path, n_frames: int) -> Path:
    """A folder of small images, their times and calibration."""
    (folder / "images").mkdir(parents=True)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    for n in range(n_frames):
        cv2.imwrite(str(folder / "images" / f"{n:04d}.png"), image)
    (folder / "times.txt").write_text("".join(f"{STEP_S * n!r}\n" for n in range(n_frames)))
    calib = {name: getattr(CAMERA, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "calib.json").write_text(json.dumps(calib))
    return folder


class MadeUp:
    """Stands in for an engine: the map of a piece is made up from where its frames truly are."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing, self.settings = failing, dict[str, dict]()
        self.mapped: Callable[[Sim3, range], SlamMap] = piece

    def run(self, tasks: Sequence[Task]):
        for task in tasks:
            said = self.settings[task.name] = yaml.safe_load(task.settings)
            if task.name in self.failing:
                yield TaskResult(task.key, Ending.FAILED, "took more memory than 4 GiB")
                continue
            folder = Path(task.folder) / "results" / f"{task.name}-{task.key}"
            begin, step = said["start"], said["stride"]
            frames = range(begin, begin + step * said["max_frames"], step)
            S = Sim3.identity() if task.name.endswith("1") else ELSEWHERE
            with MapFolder(folder / "map.vgslam") as opened:
                opened.save(self.mapped(S, frames))
            facts = Facts(len(frames), len(frames))
            yield TaskResult(task.key, Ending.DONE, results=f"results/{folder.name}", facts=facts)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    made = MadeUp()
    monkeypatch.setattr(pieces_command, "open_engine", lambda *args: made)
    return made


def positions(out: Path) -> np.ndarray:
    return np.loadtxt(out / "trajectory.tum")


def test_a_run_in_pieces_leaves_what_a_run_leaves(vgslam, recording, engine, tmp_path) -> None:
    code, said, _ = vgslam.run(recording, "--pieces", 2, "--map", tmp_path / "m", *MADE_UP)
    assert code == 0
    assert "120 frames in 2 pieces, 30 frames in common" in said
    assert vgslam.statuses() == ["TRACKED"] * N
    rows = positions(vgslam.out)
    np.testing.assert_allclose(rows[:, 0], STEP_S * np.arange(N), atol=1e-9)
    np.testing.assert_allclose(rows[:, 1:4], [true_pose(n)[:3, 3] for n in range(N)], atol=1e-5)
    report = vgslam.report()
    assert report["complete"]
    assert report["n_components"] == 1
    assert [p["frames"] for p in report["pieces"]["pieces"]] == [[0, 89], [60, 119]]
    assert [j["is_joined"] for j in report["pieces"]["joins"]] == [True]
    assert {"trajectory.tum", "status.csv", "report.json", "cloud.ply", "config.yaml", "keyframes.tum", "plots"} <= {
        p.name for p in vgslam.out.iterdir()
    }
    assert check_map(tmp_path / "m").problems == []
    assert not (vgslam.out / ".pieces").exists()
    assert not (vgslam.out / "camera.json").exists(), "nothing has determined it better than it was given"
    assert "pieces" not in yaml.safe_load((vgslam.out / "config.yaml").read_text())


def test_the_camera_that_the_whole_has_determined_is_saved(vgslam, recording, engine, monkeypatch) -> None:
    asked = []

    def better(camera, source, refined, estimate):
        asked.append((camera, refined, estimate))
        return replace(camera, fx=70.0)

    monkeypatch.setattr(pieces_command, "recorded_camera", better)
    assert vgslam.run(recording, "--pieces", 2, *MADE_UP)[0] == 0
    assert asked == [(CAMERA, None, None)]
    assert json.loads((vgslam.out / "camera.json").read_text())["fx"] == 70.0


def test_the_depth_of_all_pieces_is_saved_once_under_the_numbers_of_the_whole(
    vgslam, recording, engine, monkeypatch
) -> None:  # fmt: skip
    def with_depth(S: Sim3, frames: range) -> SlamMap:
        m = piece(S, frames)
        for k in m.keyframes:
            k.depth, k.depth_camera = np.full((CAMERA.height, CAMERA.width), 4.0, np.float32), CAMERA
            k.confidence = np.ones_like(k.depth)
        return m

    monkeypatch.setattr(engine, "mapped", with_depth)
    code, said, err = vgslam.run(recording, "--pieces", 2, "--save-depth", "npz", *MADE_UP)
    assert code == 0, err
    assert [s["save_depth"] for s in engine.settings.values()] == [None, None], "pieces keep it in their maps"
    rows = json.loads((vgslam.out / "depth" / "depth.json").read_text())["frames"]
    assert f"depth of {len(rows)} keyframes: {vgslam.out}/depth/" in said
    kept = np.loadtxt(vgslam.out / "keyframes.tum")
    assert [r["timestamp_s"] for r in rows] == pytest.approx(kept[:, 0].tolist())
    assert [STEP_S * r["frame_id"] for r in rows] == pytest.approx(kept[:, 0].tolist())
    assert rows[-1]["frame_id"] > 90, "the second piece is there"
    assert len(list((vgslam.out / "depth").glob("*.npz"))) == len(rows)


def test_start_stride_and_end_hold_for_the_whole(vgslam, engine, tmp_path) -> None:
    """Every second image from 10 to 190: 90 frames."""
    folder = recorded(tmp_path / "longer", 200)
    words = ("--pieces", 2, "--start", 10, "--end", 190, "--stride", 2)
    assert vgslam.run(folder, *words, *MADE_UP)[0] == 0
    made = [(s["start"], s["stride"], s["max_frames"]) for s in engine.settings.values()]
    assert made == [(10, 2, 75), (100, 2, 45)]
    rows = positions(vgslam.out)
    np.testing.assert_allclose(rows[:, 0], STEP_S * np.arange(10, 190, 2), atol=1e-9)
    first = np.linalg.inv(true_pose(10))
    true = np.stack([(first @ true_pose(n))[:3, 3] for n in range(10, 190, 2)])
    lengths = np.linalg.norm(np.diff(true, axis=0), axis=1)
    np.testing.assert_allclose(np.linalg.norm(np.diff(rows[:, 1:4], axis=0), axis=1), lengths, atol=1e-5)


def test_a_piece_that_fails_is_said_and_its_frames_are_lost(vgslam, recording, engine) -> None:
    engine.failing = ("piece-002",)
    code, _, errors = vgslam.run(recording, "--pieces", 2, *MADE_UP)
    assert code == 1
    assert "piece 2 of 2 (frames 60 to 119) has no map: took more memory" in errors
    assert vgslam.statuses() == ["TRACKED"] * 90 + ["LOST"] * 30
    assert not vgslam.report()["complete"]
    assert (vgslam.out / ".pieces").exists(), "the same command does only that again"


def test_nothing_is_left_where_no_piece_has_a_map(vgslam, recording, engine) -> None:
    engine.failing = ("piece-001", "piece-002")
    code, _, errors = vgslam.run(recording, "--pieces", 2, *MADE_UP)
    assert code == 4
    assert "none of 2 pieces has a map" in errors
    assert "\n" not in errors.strip()


def test_an_uncalibrated_recording_has_one_calibration(vgslam, recording, engine) -> None:
    (recording / "calib.json").unlink()
    assert vgslam.run(recording, "--pieces", 2, *MADE_UP)[0] == 0
    first, *others = engine.settings.values()
    assert (first["calib"], first["max_frames"]) == (None, N)
    assert len({s["calib"] for s in others}) == 1
    assert others[0]["calib"] is not None
    report = vgslam.report()
    assert report["camera"]["is_estimated"]
    assert report["camera"]["fx"] == pytest.approx(CAMERA.fx)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--pieces", "many"), "auto or a number"),
        (("--pieces", "0"), "auto or a number"),
        (("--pieces", "9"), "at most 3 piece(s) of 40 frames or more"),
        (("--engine", "ray"), "add --pieces"),
        (("--pieces", "2", "--realtime"), "--realtime"),
        (("--pieces", "2", "--poses", "-"), "--poses"),
        (("--pieces", "2", "--localize"), "--localize"),
        (("--pieces", "2", "--metric"), "--metric"),
        (("--pieces", "2", "--address", "h:1"), "--engine ray"),
        (("--pieces", "2", "--jobs", "0"), "--jobs"),
    ],
)
def test_what_does_not_go_together_is_one_line(vgslam, recording, engine, words, says: str) -> None:
    code, _, errors = vgslam.run(recording, *words, *MADE_UP)
    assert code == 2
    assert says in errors
    assert errors.count("\n") == 1
    assert engine.settings == {}


def test_streams_have_no_pieces(vgslam, engine) -> None:
    code, _, errors = vgslam("run", "rtsp://camera/live", "--pieces", 2)
    assert code == 2
    assert "is a stream" in errors
    assert errors.count("\n") == 1


def test_a_short_recording_is_one_piece(vgslam, recording, engine, monkeypatch) -> None:
    called = []
    monkeypatch.setattr("vgslam.commands.run_in_pieces.run_run", lambda args: called.append(args) or 0)
    assert vgslam.run(recording, "--pieces", "auto")[0] == 0
    assert len(called) == 1
    assert engine.settings == {}
    assert not vgslam.out.exists()
    assert called[0].path == recording


def test_the_same_command_goes_on_with_overwrite(vgslam, recording, engine) -> None:
    engine.failing = ("piece-002",)
    vgslam.run(recording, "--pieces", 2, *MADE_UP)
    assert vgslam.run(recording, "--pieces", 2, *MADE_UP)[0] == 3
    engine.failing = ()
    assert vgslam.run(recording, "--pieces", 2, "--overwrite", *MADE_UP)[0] == 0
    assert vgslam.statuses() == ["TRACKED"] * N
