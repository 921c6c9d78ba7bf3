"""Recognition of what a path holds, and the one-line errors for what it does not."""

from pathlib import Path

import pytest

from vgslam.errors import ConfigError, InputError
from vgslam.sources import KINDS, SourceOptions, open_source
from vgslam.sources.open import recognise


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (["images/a.png"], "plain"),
        (["a.png", "b.png"], "images"),
        (["rgb.txt", "rgb/1.0.png", "depth/1.0.png"], "tum"),
        (["mav0/cam0/data/1.png"], "euroc"),
        (["cam0/data/1.png"], "euroc"),
        (["image_0/000000.png", "calib.txt"], "kitti"),
        (["image_2/000000.png"], "kitti"),
        (["frame-000000.color.png", "frame-000000.pose.txt"], "7scenes"),
        (["seq-01/frame-000000.color.png"], "7scenes"),
        (["metadata.yaml", "a_0.db3"], "ros2"),
        (["a_0.mcap"], "ros2"),
        (["a.bag"], "ros1"),
        (["a.mcap"], "mcap"),
        (["a.MP4"], "video"),
        (["a.db3"], "ros2"),
    ],
)
def test_kind_is_recognised(tmp_path: Path, entries: list[str], kind: str) -> None:
    for entry in entries:
        (tmp_path / entry).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / entry).write_bytes(b"")
    is_one_file = len(entries) == 1 and "/" not in entries[0] and entries[0] != "a_0.mcap"
    assert recognise(tmp_path / entries[0] if is_one_file else tmp_path) == kind


@pytest.mark.parametrize(
    ("entries", "at", "message"),
    [
        ([], "absent", "absent: no such file or folder that can be read .*; check the path"),
        ([], "x" * 300, "File name too long"),
        ([], "", "the folder is empty; give a folder of images, a data set, a bag or a video file"),
        (["a.txt", "sub/b.png"], "", r"no images or known data set in it \(it holds a\.txt, sub/\)"),
        (["a.png"], "a.png", r"a\.png: is a single image; give the folder that holds the sequence"),
        (["images/readme.txt"], "", r"images: no images or known data set in it \(it holds readme\.txt\)"),
    ],
)
def test_what_cannot_be_a_source(tmp_path: Path, entries: list[str], at: str, message: str) -> None:
    for entry in entries:
        (tmp_path / entry).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / entry).write_bytes(b"")
    with pytest.raises(InputError, match=message) as caught:
        open_source(tmp_path / at)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_chosen_kind_overrides_recognition(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["frame-000000.color.png", "frame-000001.color.png"], width=640, height=480)
    assert open_source(tmp_path).kind == "7scenes"
    assert open_source(str(tmp_path), SourceOptions(kind="images")).kind == "images"


@pytest.mark.parametrize("kind", ["images", "plain", "tum", "euroc", "kitti", "7scenes"])
def test_folder_kinds_refuse_a_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=f"a source of kind {kind} is a folder; give the folder"):
        open_source(tmp_path / "a.mp4", SourceOptions(kind=kind))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("images",)])
def test_a_wrong_kind_is_one_clear_line(tmp_path: Path, write_images, kind: str) -> None:
    write_images(tmp_path, ["a.png"])
    with pytest.raises(InputError) as caught:
        open_source(tmp_path, SourceOptions(kind=kind))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_calibration_and_truth_files(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["a.png"])
    with pytest.raises(InputError, match="no such calibration file"):
        open_source(tmp_path, SourceOptions(calib=tmp_path / "absent.json"))
    with pytest.raises(InputError, match="no such truth file"):
        open_source(tmp_path, SourceOptions(truth=tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "start must be 0 or more"),
        ({"start": 5, "end": 5}, "end must be greater than start"),
        ({"stride": 0}, "stride must be 1 or more"),
        ({"max_frames": 0}, "max_frames must be 1 or more"),
        ({"fps": 0.0}, "fps must be a positive number"),
        ({"fps": float("nan")}, "fps must be a positive number"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SourceOptions(**options)


def test_an_unknown_kind_is_told_with_those_that_there_are(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["a.png"])
    with pytest.raises(ConfigError, match=r"unknown source kind 'betamax'; use one of .*kitti.*video"):
        open_source(tmp_path, SourceOptions(kind="betamax"))


@pytest.mark.parametrize(("options", "said"), [
    ({"topic": "/cam0"}, "topic /cam0 says nothing to a source of kind images"),
    ({"stream": 1}, r"stream 1 says nothing .* \(it is for video\)"),
])  # fmt: skip
def test_a_choice_that_the_source_has_not_is_refused(tmp_path: Path, write_images, options: dict, said: str) -> None:
    write_images(tmp_path, ["0.png", "1.png", "2.png"])
    with pytest.raises(ConfigError, match=said):
        open_source(tmp_path, SourceOptions(**options))


def test_a_rate_beside_a_list_of_times_is_told(tmp_path: Path, write_images) -> None:
    write_images(tmp_path, ["0.png", "1.png", "2.png"])
    (tmp_path / "times.txt").write_text("0\n0.1\n0.2\n")
    source = open_source(tmp_path, SourceOptions(fps=5))
    assert source.warnings == ["fps is not used: times.txt has the times"]
    assert [f.timestamp_s for f in source] == pytest.approx([0.0, 0.1, 0.2])
