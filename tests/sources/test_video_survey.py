"""What is found in a video before its frames are read, and half images of more than one size."""

from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import combed, pictures, write_video

from vgslam.sources.frame_pixels import deinterlaced
from vgslam.sources.recording import Warnings
from vgslam.sources.video_survey import StreamSurvey, survey

SMALL, LARGE = (64, 48), (128, 96)


@pytest.mark.parametrize(
    ("sizes", "usual"),
    [({SMALL: 8, LARGE: 4}, SMALL), ({SMALL: 4, LARGE: 8}, LARGE), ({LARGE: 6, SMALL: 6}, LARGE), ({}, (32, 24))],
)
def test_the_usual_size_is_that_of_most_frames(sizes: dict[tuple[int, int], int], usual: tuple[int, int]) -> None:
    assert StreamSurvey(0, "h264", (32, 24), sizes=Counter(sizes)).usual_size == usual


class Packet:
    """What the survey sees of a packet that is no key frame."""

    size, is_discard, is_keyframe, time_base, dts = 10, False, False, 0.1, None

    def __init__(self, pts: int | None) -> None:
        self.pts, self.stream_index = pts, 0


def test_packets_without_a_time_at_the_beginning_are_counted_apart(tmp_path: Path) -> None:
    """Five at the beginning, and one that comes when 32 stamped ones in a row have settled the clock."""
    with av.open(str(write_video(tmp_path / "a.mkv", pictures(2)))) as container:
        stream = container.streams.video[0]
        stamps = [None] * 5 + list(range(32)) + [None] + [33]
        seen = type("Container", (), {
            "streams": container.streams, "format": container.format, "demux": lambda self, _: map(Packet, stamps),
        })()  # fmt: skip
        found = survey(seen, None, tmp_path).streams[0]
        assert stream.index == found.index
    assert (found.n_packets, found.n_untimed, found.n_untimed_first) == (39, 6, 5)
    assert found.first_stamps_s == pytest.approx([0.1 * i for i in range(32)])


def test_half_images_of_another_size_lose_no_frame(tmp_path: Path) -> None:
    """The filter holds one frame back, which comes out before the first of the other size."""
    options = {"bf": "0", "qp": "8", "x264-params": "bff=1"}
    doubled = [np.repeat(np.repeat(image, 2, 0), 2, 1) for image in combed(4)]
    frames = []
    for name, images in (("small", combed(4)), ("large", doubled)):
        with av.open(str(write_video(tmp_path / f"{name}.mkv", images, options=options))) as container:
            frames += list(container.decode(video=0))
    whole = list(deinterlaced(frames, Warnings()))
    assert [(f.width, f.height) for f in whole] == 4 * [SMALL] + 4 * [LARGE]
    assert [f.pts for f in whole] == [f.pts for f in frames]
