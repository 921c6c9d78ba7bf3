"""report, doctor, config and the completion: what a person asks the program about itself."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from vgslam.cli import parse
from vgslam.commands import doctor, self_test
from vgslam.commands.config import ONE_RUN_ONLY, run_defaults
from vgslam.commands.live import live_defaults
from vgslam.errors import ConfigError
from vgslam.slam import SlamConfig


def test_the_printed_settings_are_read_back_as_they_were(vgslam, tmp_path: Path) -> None:
    code, out, _ = vgslam("config", "--slam.tracker.gate", 4.25, "--stride", 3, "--network", "none")
    assert code == 0
    file = tmp_path / "c.yaml"
    file.write_text(out)
    args = run_defaults(file)
    assert (args.slam.tracker.gate, args.stride, args.network) == (4.25, 3, "none")
    assert vgslam("config", "--config", file)[1] == out
    assert "# Largest distance of an inlier, in standard deviations.\n    gate: 4.25\n" in out


def test_a_word_or_nothing_is_read_back_and_another_word_is_refused(vgslam, tmp_path: Path) -> None:
    code, out, _ = vgslam("config", "--save-depth", "png")
    assert code == 0
    file = tmp_path / "c.yaml"
    file.write_text(out)
    assert run_defaults(file).save_depth == "png"
    file.write_text("save_depth: null\n")
    assert run_defaults(file).save_depth is None
    file.write_text("save_depth: jpg\n")
    with pytest.raises(ConfigError, match="save_depth: expected one of png, npz, exr, got 'jpg'"):
        run_defaults(file)


def test_live_asks_no_network_unless_it_is_told_to(tmp_path: Path) -> None:
    """`run` asks one where there is torch; a file that gives the network speaks for both, one that does not changes
    nothing."""
    assert parse(["run", "x"]).network == "auto"
    assert parse(["live", "0"]).network == "none"
    assert live_defaults(run_defaults(None)).network == "none"
    file = tmp_path / "c.yaml"
    for text, expected in (("network: vggt\n", "vggt"), ("memory: 2GiB\n", "none"), ("patience: 7\n", "none")):
        file.write_text(text)
        assert parse(["live", "0", "--config", str(file)]).network == expected
    file.write_text("network: vggt\n")
    assert parse(["live", "0", "--config", str(file), "--network", "none"]).network == "none"
    assert parse(["live", "0", "--network", "vggt"]).network == "vggt"


@pytest.mark.parametrize("words", [["run", "x"], ["live", "0", "--network", "vggt"]])
def test_dense_depth_of_the_network_is_made_only_where_it_is_wanted(words: list[str]) -> None:
    assert not parse(words).vggt.dense_depth
    assert parse([*words, "--vggt.dense-depth"]).vggt.dense_depth


def test_the_command_line_wins_over_the_file(vgslam, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("stride: 3\nslam:\n  patience: 7\n")
    code, out, _ = vgslam("config", "--config", tmp_path / "c.yaml", "--stride", 2, "--json")
    assert code == 0
    settings = json.loads(out)
    assert (settings["stride"], settings["slam"]["patience"]) == (2, 7)
    assert not set(ONE_RUN_ONLY) & set(settings)


def test_a_file_with_settings_of_slam_alone_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("patience: 7\n")
    assert run_defaults(tmp_path / "c.yaml").slam == SlamConfig(patience=7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stride: fast", "stride"), ("stride: true", "stride"), ("predictor: sfm", "predictor"),
        ("network: false", "network"),
        ("stride: 2\nspeed: 3", "unknown setting 'speed'"), ("max_frames: few", "max_frames"), ("fps: x", "fps"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(vgslam, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    code, _, err = vgslam("config", "--config", tmp_path / "c.yaml")
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_run_is_repeated_from_its_own_settings_elsewhere(sequence: Path, vgslam, tmp_path: Path) -> None:
    assert vgslam.run(sequence, "--max-frames", 15)[0] == 0
    code, _, err = vgslam("run", "--config", vgslam.out / "config.yaml", "--out", tmp_path / "again", "--quiet")
    assert code == 0, err
    first, again = ((folder / "trajectory.tum").read_bytes() for folder in (vgslam.out, tmp_path / "again"))
    assert first == again
    assert len(first) > 500


def test_a_run_becomes_a_page_with_its_truth(sequence: Path, vgslam) -> None:
    assert vgslam.run(sequence)[0] == 0
    code, out, _ = vgslam("report", vgslam.out)
    assert code == 0
    assert str(vgslam.out / "report.html") in out
    text = (vgslam.out / "report.html").read_text()
    assert all(f"<h2>{h}</h2>" in text for h in ("Path", "Error", "Status", "Depth", "Timings"))
    assert "the truth is not where it was" not in text
    shutil.rmtree(sequence)  # a run outlives its input
    assert vgslam("report", vgslam.out)[0] == 0
    text = (vgslam.out / "report.html").read_text()
    assert "the truth is not where it was" in text
    assert "<h2>Error</h2>" in text


def test_a_page_of_nothing_is_one_line(vgslam, tmp_path: Path) -> None:
    code, _, err = vgslam("report", tmp_path)
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_the_doctor_finds_a_healthy_installation_healthy(vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "N_FRAMES", 30)
    code, out, _ = vgslam("doctor", "--json")
    said = json.loads(out)
    assert code == 0
    assert said["healthy"] is True
    assert said["self_test"]["n_poses"] == 30
    topics = {"versions", "machine", "codecs", "weights", "extras", "plug-ins", "self-test"}
    assert {c["topic"] for c in said["checks"]} == topics


@pytest.mark.parametrize("damage", ["no video", "cut video", "other truth"])
def test_the_self_test_fails_where_something_is_broken(tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(self_test.demo_folder(), tmp_path / "demo"))
    video = folder / "demo.mp4"
    if damage == "no video":
        video.unlink()
    elif damage == "cut video":
        video.write_bytes(video.read_bytes()[:2000])
    else:
        rows = (folder / "groundtruth.txt").read_text().splitlines()
        wrong = [
            " ".join([r.split()[0], *rows[-1 - i].split()[1:]]) for i, r in enumerate(rows) if not r.startswith("#")
        ]
        shuffled = [wrong[(37 * i) % len(wrong)].split()[1:] for i in range(len(wrong))]
        (folder / "groundtruth.txt").write_text(
            "\n".join(" ".join([w.split()[0], *s]) for w, s in zip(wrong, shuffled)) + "\n"
        )
    assert self_test.self_test(folder).problem != ""


def test_a_failed_self_test_fails_the_doctor(vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "self_test", lambda: self_test.SelfTest(60, 3, None, 1.0, "3 of 60 frames have a pose"))
    code, out, _ = vgslam("doctor")
    assert code == 1
    assert "something is broken" in out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_can_complete_the_commands(vgslam, capsys: pytest.CaptureFixture[str], shell: str) -> None:
    with pytest.raises(SystemExit) as ended:
        vgslam("--tyro-print-completion", shell)
    assert ended.value.code in (0, None)
    script = capsys.readouterr().out
    assert all(word in script for word in ("run", "eval", "report", "doctor", "config", "--slam.tracker.gate"))


def test_the_printed_yaml_is_yaml(vgslam) -> None:
    settings = yaml.safe_load(vgslam("config")[1])
    assert settings["slam"]["tracker"]["sigma_px"] == SlamConfig().tracker.sigma_px


def test_the_demo_can_be_quiet() -> None:
    assert parse(["demo", "--quiet"]).quiet
    assert not parse(["demo"]).quiet
