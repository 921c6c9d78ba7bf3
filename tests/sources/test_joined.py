"""MP4 files joined with `cat`: all of them are read, and what cannot be read is said."""

from itertools import pairwise
from pathlib import Path

import av
import pytest
from video_files import add_stream, encode, number_of, pictures, write_video

from vgslam.sources.joined import parts_of
from vgslam.sources.options import SourceOptions
from vgslam.sources.video import open_video

FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


def video(tmp_path: Path, first: int, n: int, flags: str = "", name: str = "part.mp4") -> bytes:
    """A video of the pictures from `first` on, fragmented with the flags."""
    images = pictures(first + n)[first:]
    with av.open(str(tmp_path / name), "w", options={"movflags": flags} if flags else {}) as container:
        encode(container, add_stream(container, images[0], options={"bf": "0", "g": "3"}), images)
    return (tmp_path / name).read_bytes()


def read(tmp_path: Path, data: bytes, name: str = "joined.mp4") -> tuple[list[int], list[float], list[str]]:
    """Numbers of the pictures, steps between their times in ms, and warnings."""
    (tmp_path / name).write_bytes(data)
    recording = open_video(tmp_path / name, SourceOptions())
    images = [(number_of(image.load()), image.timestamp_s) for image in recording.stream()]
    steps = [round(1000 * (b - a)) for (_, a), (_, b) in pairwise(images)]
    return [n for n, _ in images], steps, list(recording.warnings)


@pytest.mark.parametrize("flags", ["", "faststart", FRAGMENTED])
def test_all_are_read(flags: str, tmp_path: Path) -> None:
    parts = [video(tmp_path, 0, 8, flags), video(tmp_path, 8, 5, flags), video(tmp_path, 13, 4, flags)]
    numbers, steps, warnings = read(tmp_path, b"".join(parts))
    assert numbers == list(range(17))
    assert all(10 <= step <= 60 for step in steps), "the clock goes on"
    assert warnings[0] == (
        "3 videos stand one behind the other in joined.mp4 (joined with cat?): all are read, in this order"
    )
    begins = [len(b"".join(parts[:n])) for n in range(4)]
    assert parts_of(tmp_path / "joined.mp4") == list(pairwise(begins))


def test_a_name_may_hold_what_separates_options(tmp_path: Path) -> None:
    parts = [video(tmp_path, 0, 6), video(tmp_path, 6, 5)]
    assert read(tmp_path, b"".join(parts), "a,,:start,0 日.mp4")[0] == list(range(11))


def test_one_video_is_one(tmp_path: Path) -> None:
    for flags in ("", FRAGMENTED):
        numbers, _, warnings = read(tmp_path, video(tmp_path, 0, 7, flags))
        assert numbers == list(range(7))
        assert warnings == []


def test_a_second_one_that_is_cut_off_is_told(tmp_path: Path) -> None:
    first, second = video(tmp_path, 0, 8), video(tmp_path, 8, 8, "faststart")
    numbers, _, warnings = read(tmp_path, first + second[:-40])
    assert numbers[:8] == list(range(8))
    assert len(numbers) < 16
    assert any(f"from frame 8 on is cut off or damaged: {len(numbers) - 8} of 8 frames" in w for w in warnings)


@pytest.mark.parametrize("rest", ["no index", "another kind"])
def test_what_is_no_video_is_left_out(rest: str, tmp_path: Path) -> None:
    first, second = video(tmp_path, 0, 8), video(tmp_path, 8, 8)
    behind = second[: second.index(b"moov")] if rest == "no index" else b"\0\0\0\x20ftypheic" + b"\0" * 20 + second
    numbers, _, warnings = read(tmp_path, first + behind)
    assert numbers == (list(range(8)) if rest == "no index" else list(range(16)))
    assert "what stands behind frame 7 in the file cannot be read: left out" in warnings


def box(kind: bytes, body: bytes, is_long: bool = False) -> bytes:
    n = len(body) + (16 if is_long else 8)
    return ((1).to_bytes(4, "big") + kind + n.to_bytes(8, "big") if is_long else n.to_bytes(4, "big") + kind) + body


def test_boxes(tmp_path: Path) -> None:
    """Long sizes, one up to the end, bytes that are no box, and files of other kinds."""
    file = tmp_path / "a.bin"
    one = box(b"ftyp", b"isom") + box(b"mdat", b"\0" * 9 + b"ftyp", is_long=True)
    two = box(b"ftyp", b"isom")
    for data, parts in (
        (one + two, [(0, 41), (41, 53)]),
        (one + (0).to_bytes(4, "big") + b"mdat" + two, [(0, 61)]),
        (one + (7).to_bytes(4, "big") + b"mdat" + two, [(0, 61)]),
        (one + b"\0\0\0\x08\xff\xff\xff\xff" + two, [(0, 61)]),
        (box(b"moov", b"") + two, [(0, 20)]),
        (b"", [(0, 0)]),
        (b"ftyp", [(0, 4)]),
        (box(b"ftyp", b"") + (2**40).to_bytes(4 + 4, "big")[4:] + b"free", [(0, 16)]),
    ):
        file.write_bytes(data)
        assert parts_of(file) == parts, data


def test_a_whole_file_needs_no_part(tmp_path: Path) -> None:
    assert len(parts_of(write_video(tmp_path / "a.mkv", pictures(3)))) == 1
