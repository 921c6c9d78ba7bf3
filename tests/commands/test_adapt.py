"""`vgslam adapt` and `vgslam run --adapt`: what they leave behind, that they repeat, and what bad input leads to."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vgslam.adapt import adapter as adapter_module
from vgslam.errors import InputError
from vgslam.geometry.camera import Camera
from vgslam.network import weights
from vgslam.network.lora import LoraConfig, add_lora, load_adapter, save_adapter
from vgslam.session.adaptation import NOT_BEGUN
from vgslam_train.worlds.sequences import Sequence, Shot, render_sequence

N = 44
QUICK = ("--adaptation.steps", 2, "--adaptation.windows", 1)
QUIET = ("--device", "cpu", "--quiet", "--no-rehearse")
VGGT = ("--network", "vggt", "--device", "cpu")
"""The network is asked: geometry alone finds no start in the clip."""


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.fixture(scope="session")
def film() -> Sequence:
    """A world that was not trained on, seen through a wide lens."""
    camera = Camera.from_fov(160, 120, 100.0)
    return render_sequence("clutter", "orbit", N, 900011, camera, Shot(rate_hz=6.0, supersample=1))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory, film: Sequence) -> Path:
    """Plain layout: images, times, calibration. Do not write into it; use `clip`."""
    folder = tmp_path_factory.mktemp("clip")
    write_images(folder, list(film.images))
    c = film.camera
    numbers = {"width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy}
    (folder / "calib.json").write_text(json.dumps(numbers))
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in film.timestamps_s))
    return folder


@pytest.fixture
def clip(tmp_path: Path, clip_folder: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(clip_folder, tmp_path / "clip"))


def write_images(folder: Path, images: list[np.ndarray]) -> None:
    (folder / "images").mkdir(exist_ok=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), image[..., ::-1])


def poses(folder: Path) -> bytes:
    return (folder / "trajectory.tum").read_bytes()


@pytest.mark.parametrize("is_learned", [True, False])
def test_a_recording_is_learned_or_it_is_said_that_it_was_not(
    is_learned: bool, clip: Path, vgslam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With either verdict of the safeguards on both rounds code, files, table and sentence agree; the table and the
    pictures are always there."""
    monkeypatch.setattr(adapter_module, "objections", lambda *_: () if is_learned else ("worse",))
    out = tmp_path / "learned.safetensors"
    code, printed, err = vgslam("adapt", clip, "--out", out, "--steps", 2, *QUIET)
    assert err == ""
    table = json.loads(out.with_suffix(".json").read_text())
    verdicts = [event["event"] for event in table["events"] if event["event"] != "stop"]
    assert verdicts == 2 * ["commit" if is_learned else "rollback"]
    lines = [line for line in printed.splitlines() if line.startswith(("commit, ", "rollback: "))]
    assert [line.split(":")[0] for line in lines] == (
        ["commit, 1 steps in all", "commit, 2 steps in all"] if is_learned else 2 * ["rollback"]
    )
    assert all("epipolar error" in line for line in lines)
    assert all(line.endswith("not kept: worse") is not is_learned for line in lines)
    assert (code, table["steps"], out.is_file()) == ((0, 2, True) if is_learned else (1, 0, False))
    assert (table["before"] == table["after"]) == (not is_learned)
    assert ("no adapter is written" in printed) == (not is_learned)
    assert min(table["before"].values()) > 0
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture.shape[0] % min(table["n_held_back"], 4) == 0
    assert len(np.unique(picture)) > 50
    if is_learned:
        loaded = weights.load("vggt-s")
        assert load_adapter(loaded.model, out, loaded.info.sha256) == 2


def test_a_part_of_a_recording(clip: Path, vgslam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames after --max-frames are not looked at."""
    seen: list[int] = []

    def stop(_: object, found, *__: object) -> None:
        seen.extend(i for window in found for i in window.frame_ids)
        raise InputError("seen enough")

    monkeypatch.setattr("vgslam.adapt.offline.adapt", stop)
    words = ("--start", 2, "--stride", 2, "--max-frames", 12)
    code, _, err = vgslam("adapt", clip, "--out", tmp_path / "a.safetensors", *QUIET, *words)
    assert (code, "seen enough" in err) == (2, True)
    assert seen
    assert max(seen) == 11


def test_what_gets_no_better_is_not_written(clip: Path, vgslam, tmp_path: Path) -> None:
    """Steps so long that everything is destroyed."""
    out = tmp_path / "a.safetensors"
    code, printed, err = vgslam("adapt", clip, "--out", out, "--steps", 3, "--learning-rate", 10, *QUIET)
    assert (code, err) == (1, "")
    assert "no adapter is written" in printed
    assert not out.exists()
    table = json.loads(out.with_suffix(".json").read_text())
    assert table["steps"] == 0
    assert table["before"] == table["after"]
    assert table["events"][0]["event"] == "rollback"


def test_an_adapter_changes_the_run_and_is_named(clip: Path, vgslam, tmp_path: Path) -> None:
    loaded = weights.load("vggt-s")
    add_lora(loaded.model, LoraConfig(rank=2))
    for name, p in loaded.model.named_parameters():
        if name.endswith("lora_B"):
            p.data.fill_(0.02)
    path = tmp_path / "a.safetensors"
    save_adapter(loaded.model, LoraConfig(rank=2), path, loaded.info.sha256, 70)
    for name, words in {"with": ("--adapter", path), "without": ()}.items():
        code, _, err = vgslam("run", clip, "--out", tmp_path / name, "--quiet", "--max-frames", 24, *VGGT, *words)
        assert (code, err) == (0, "")
    report = json.loads((tmp_path / "with" / "report.json").read_text())
    assert report["model_id"].endswith("+adapt70")
    assert poses(tmp_path / "with") != poses(tmp_path / "without")


def test_sync_twice_gives_the_same_poses_to_the_last_bit(clip: Path, vgslam, tmp_path: Path) -> None:
    reports = []
    for name in "ab":
        words = ("--out", tmp_path / name, "--quiet", *VGGT, "--adapt", "sync", *QUICK)
        code, printed, err = vgslam("run", clip, *words)
        assert (code, err) == (0, "")
        reports.append(json.loads((tmp_path / name / "report.json").read_text())["adaptation"])
    assert poses(tmp_path / "a") == poses(tmp_path / "b")
    assert reports[0] == reports[1]
    n_commits, n_rollbacks = reports[0]["n_commits"], reports[0]["n_rollbacks"]
    assert n_commits + n_rollbacks > 0
    assert f"adaptation: {n_commits} commit(s), {n_rollbacks} rollback(s)" in printed
    written = [(tmp_path / name / "adapter.safetensors") for name in "ab"]
    assert [w.exists() for w in written] == [reports[0]["n_commits"] > 0] * 2
    if reports[0]["n_commits"]:
        a, b = (load_file(w) for w in written)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_that_asks_nothing_says_that_nothing_was_learned(sequence: Path, vgslam) -> None:
    code, out, _ = vgslam.run(sequence, "--network", "vggt", "--adapt", "sync", "--max-frames", 12)
    assert code == 0
    assert f"adaptation: {NOT_BEGUN}" in out.splitlines()


def test_off_is_a_run_without_the_option(clip: Path, vgslam, tmp_path: Path) -> None:
    for name, words in {"a": (), "b": ("--adapt", "off")}.items():
        code, _, err = vgslam("run", clip, "--out", tmp_path / name, "--quiet", "--max-frames", 24, *VGGT, *words)
        assert (code, err) == (0, "")
        assert json.loads((tmp_path / name / "report.json").read_text())["adaptation"] is None
    assert len(poses(tmp_path / "a")) > 500
    assert poses(tmp_path / "a") == poses(tmp_path / "b")


def test_an_adapter_of_another_base_is_refused(clip: Path, vgslam, tmp_path: Path) -> None:
    model = weights.load("vggt-s").model
    add_lora(model, LoraConfig())
    save_adapter(model, LoraConfig(), tmp_path / "a.safetensors", "0" * 64)
    code, _, err = vgslam.run(clip, *VGGT, "--adapter", tmp_path / "a.safetensors")
    assert code != 0
    assert "other weights" in one_line(err)


@pytest.mark.parametrize("words", [("--adapt", "sync"), ("--adapter", "a.safetensors")])
def test_without_a_network_nothing_can_adapt(words: tuple[str, ...], clip: Path, vgslam) -> None:
    code, _, err = vgslam.run(clip, "--network", "none", *words)
    assert code != 0
    assert "--network vggt" in one_line(err)


def test_an_adapter_that_is_missing_or_none(clip: Path, vgslam, tmp_path: Path) -> None:
    code, _, err = vgslam.run(clip, *VGGT, "--adapter", tmp_path / "no.safetensors")
    assert code != 0
    assert "no such adapter" in one_line(err)
    (tmp_path / "text.safetensors").write_text("not a tensor in sight")
    code, _, err = vgslam.run(clip, "--overwrite", *VGGT, "--adapter", tmp_path / "text.safetensors")
    assert code != 0
    assert "text.safetensors" in one_line(err)


def spoil(kind: str, clip: Path, film: Sequence) -> None:
    if kind == "no calibration":
        (clip / "calib.json").unlink()
    elif kind == "a camera that stands still":
        write_images(clip, [film.images[0]] * N)
    elif kind == "a short recording":
        for path in sorted((clip / "images").iterdir())[6:]:
            path.unlink()
        (clip / "times.txt").write_text("".join(f"{t}\n" for t in range(6)))
    elif kind == "no recording":
        shutil.rmtree(clip)


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("no recording", (), "clip"), ("no calibration", (), "--fov-deg"),
        ("a camera that stands still", (), "hardly moves"), ("a short recording", (), "recording is short"),
        ("", ("--weights", "no-such-weights.safetensors"), "no-such-weights"), ("", ("--steps", 0), "--steps"),
        ("", ("--learning-rate", -1), "--learning-rate"), ("", ("--start", 1000), ""),
    ],
)  # fmt: skip
def test_bad_input_of_adapt(
    kind: str, words: tuple[object, ...], said: str, clip: Path, film: Sequence, vgslam, tmp_path: Path
) -> None:
    spoil(kind, clip, film)
    code, _, err = vgslam("adapt", clip, "--out", tmp_path / "a.safetensors", *QUIET, *words)
    assert code != 0
    assert said in one_line(err)
    assert not (tmp_path / "a.safetensors").exists()


def test_a_place_that_cannot_be_written_is_found_before_the_training(clip: Path, vgslam, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, printed, err = vgslam("adapt", clip, "--out", tmp_path / "file" / "a.safetensors", "--steps", 2)
    assert code != 0
    assert "file" in one_line(err)
    assert "loss" not in printed


@pytest.mark.parametrize("words", [("steps", 0), ("windows", 0), ("learning-rate", 0), ("memory", "lots")])
def test_bad_settings_of_a_run(words: tuple[str, object], clip: Path, vgslam) -> None:
    code, _, err = vgslam.run(clip, *VGGT, "--adapt", "sync", f"--adaptation.{words[0]}", words[1])
    assert code != 0
    assert words[0] in one_line(err) or "lots" in err
