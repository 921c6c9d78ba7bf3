"""Packages of other people, as wheels: what they add is used, and what is wrong with them is one line."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from plugin_install import run_with_plugins

from vgslam.errors import ConfigError, PluginError
from vgslam.plugins import Registry
from vgslam.poses_out.open import POSE_SINKS
from vgslam.sources.kinds import SOURCE_KINDS

HERE = Path(__file__).parent
INSTALL = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", "installed"]


def installed(folder: Path, name: str) -> Path:
    """The folder that a project of this folder is installed into."""
    shutil.copytree(HERE / name, folder / name)
    run_with_plugins([*INSTALL, f"./{name}"], folder)
    return folder / "installed"


class Run:
    """`vgslam run` with everything that a third party has added, in a process of its own."""

    def __init__(self, folder: Path, images: list[np.ndarray]) -> None:
        self.folder = folder
        installed(folder, "third_party")
        (folder / "box").mkdir()
        np.save(folder / "box" / "frames.npy", np.stack(images))
        h, w = images[0].shape[:2]
        camera = {"fx": 0.8 * w, "fy": 0.8 * w, "cx": (w - 1) / 2, "cy": (h - 1) / 2, "width": w, "height": h}
        (folder / "box" / "camera.json").write_text(json.dumps(camera))
        loops = ["--slam.loops.verifier", "unwilling", "--slam.loops.min-gap", "2", "--slam.loops.max-shared", "9999"]
        words = ["vgslam", "run", "box", "--out", "out", "--poses", "record:poses.jsonl", "--weights", "level:asked"]
        words.append("--vggt.dense-depth")
        done = run_with_plugins([*words, *loops], folder, ASKED_LOOPS=str(folder / "loops"))
        self.printed = done.stdout
        self.report = json.loads((folder / "out" / "report.json").read_text())
        self.trajectory = np.loadtxt(folder / "out" / "trajectory.tum")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, demo_images: list[np.ndarray]) -> Run:
    return Run(tmp_path_factory.mktemp("third_party"), demo_images)


def test_a_source_kind_gives_a_trajectory(run: Run, demo_images: list[np.ndarray]) -> None:
    assert run.report["source_kind"] == "array"
    assert run.report["n_frames"] == len(demo_images)
    assert len(run.trajectory) > len(demo_images) / 2
    assert run.trajectory[-1, 0] == pytest.approx(10.0 + (len(demo_images) - 1) / 30)


def test_a_pose_sink_gets_the_poses(run: Run) -> None:
    poses = [json.loads(line) for line in (run.folder / "poses.jsonl").read_text().splitlines()]
    assert [p["frame"] for p in poses] == list(range(run.report["n_frames"]))
    with_pose = [p["timestamp_s"] for p in poses if p["position"] is not None]
    assert len(with_pose) > len(poses) / 2
    np.testing.assert_allclose(with_pose, run.trajectory[-len(with_pose) :, 0], atol=1e-6)
    assert "poses are recorded in poses.jsonl" in run.printed


def test_a_backbone_is_asked(run: Run) -> None:
    asked = [int(n) for n in (run.folder / "asked").read_text().split()]
    assert run.report["model_id"] == run.report["weights"]["model_id"] == "level:asked"
    assert run.report["weights"]["licence"] == "Apache-2.0"
    assert sum(asked) >= run.report["n_keyframes"], "each keyframe's depth is asked for"
    assert 2 <= max(asked) <= 8


def test_a_loop_verifier_is_consulted_and_its_word_counts(run: Run) -> None:
    pairs = [tuple(map(int, line.split())) for line in (run.folder / "loops").read_text().splitlines()]
    assert pairs
    assert all(0 <= a < b < run.report["n_keyframes"] for a, b in pairs)
    assert run.report["loops"] == []


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("broken"), "broken")


@pytest.fixture
def with_broken(broken: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(broken))
    return broken


def test_broken_plug_ins_leave_other_runs_alone(sequence: Path, vgslam, broken: Path, monkeypatch) -> None:
    """The same poses; a line tells of those that were asked whether they know the input."""
    folder = sequence / "images"  # a data set would be recognised without asking
    words = [folder, "--calib", sequence / "calib.json", "--max-frames", 20]
    assert vgslam.run(*words)[0] == 0
    expected = (vgslam.out / "trajectory.tum").read_bytes()
    monkeypatch.syspath_prepend(str(broken))
    code, _, err = vgslam.run(*words, "--overwrite")
    assert code == 0, err
    assert (vgslam.out / "trajectory.tum").read_bytes() == expected
    told = [line for line in vgslam.report()["warnings"] if "broken-plugins 0.1" in line]
    assert len(told) == 3
    assert any("'unimportable'" in line and "the licence server says no" in line for line in told)
    assert any("'unopenable'" in line and "lacks open" in line for line in told)
    assert any("'idle'" in line and "OSError: cannot look" in line for line in told)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source", "unimportable"), "cannot be loaded (RuntimeError: the licence server says no)"),
        (("--source", "unopenable"), "lacks open of a SourceKind"),
        (("--source", "idle"), "has made a str, which is no Recording"),
        (("--poses", "unimportable:x"), "cannot be loaded (RuntimeError"),
        (("--poses", "deaf:x"), "lacks send of a PoseSink"),
        (("--poses", "text:x"), "is a str, which cannot be called"),
        (("--poses", "lonely:x"), "is a function, which does not take REST: too many positional arguments"),
        (("--weights", "missing:x"), "cannot be loaded (AttributeError"),
        (("--weights", "headless:x"), "lacks decode of a Backbone"),
        (("--slam.loops.verifier", "missing"), "cannot be loaded (ModuleNotFoundError"),
        (("--slam.loops.verifier", "silent"), "lacks verify of a LoopVerifier"),
    ],
)
def test_a_broken_plug_in_that_is_asked_for_is_one_line(
    sequence: Path, vgslam, with_broken: Path, words: tuple[str, str], said: str
) -> None:
    code, _, err = vgslam.run(sequence, *words)
    assert code == PluginError.exit_code
    assert said in err
    assert "broken-plugins 0.1" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source", "betamax"), "unknown source kind 'betamax'; use one of"),
        (("--poses", "pigeon:x"), "expected one of -, tcp:HOST:PORT"),
        (("--slam.loops.verifier", "oracle"), "unknown loop verifier 'oracle'; use one of landmarks"),
    ],
)
def test_an_unknown_name_is_told_with_those_that_there_are(
    sequence: Path, vgslam, words: tuple[str, str], said: str
) -> None:
    code, _, err = vgslam.run(sequence, *words)
    assert code == ConfigError.exit_code
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_the_doctor_lists_what_there_is_and_what_is_wrong(vgslam, with_broken: Path) -> None:
    code, out, _ = vgslam("doctor", "--no-self-test", "--json")
    checks = [c for c in json.loads(out)["checks"] if c["topic"] == "plug-ins"]
    assert code == 0  # the program itself is well
    found = {c["name"]: c["found"] for c in checks if c["verdict"] == "ok"}
    assert set(found) == {"source kinds", "pose sinks", "backbones", "loop verifiers"}
    assert "euroc" in found["source kinds"]
    assert "unimportable (broken-plugins 0.1)" in found["source kinds"]
    assert found["backbones"].startswith("vggt, ")
    told = {(c["name"], c["found"].split(" '")[0]) for c in checks if c["verdict"] == "warning"}
    assert {("unimportable", "source kind"), ("text", "pose sink"), ("missing", "backbone")} <= told
    assert any("video" in c["name"] and "has its own of that name" in c["found"] for c in checks)


def test_the_packages_own_names_cannot_be_taken(with_broken: Path) -> None:
    assert SOURCE_KINDS.get("video") is SOURCE_KINDS.own["video"]
    assert "video" not in SOURCE_KINDS.plugged_in()


def write_metadata(folder: Path, name: str, entries: str) -> None:
    """What an installed package leaves for others to find."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


def test_a_name_that_two_packages_add_is_neithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        write_metadata(tmp_path / name, name, "[vgslam.pose_sinks]\nsink = json:dumps\n")
        monkeypatch.syspath_prepend(str(tmp_path / name))
    assert POSE_SINKS.plugged_in() == ("sink",)
    with pytest.raises(PluginError, match=r"is added by one 1\.0 and by two 1\.0; uninstall one"):
        POSE_SINKS.get("sink")


def test_code_of_others_is_loaded_on_use_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_metadata(tmp_path, "late", "[vgslam.trials]\nlate = late_plug_in:VALUE\n")
    (tmp_path / "late_plug_in.py").write_text("def VALUE(): return 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry = Registry("vgslam.trials", "trial", {"own": len}, takes=())
    assert registry.names() == ("own", "late")
    assert registry.origin("late") == "late 1.0"
    assert "late_plug_in" not in sys.modules
    assert registry.get("late")() == 7
    assert "late_plug_in" in sys.modules
