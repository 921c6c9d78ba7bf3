"""Video files: timestamps, rotation, damage."""

from collections.abc import Callable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from vgslam.errors import CalibrationError, InputError
from vgslam.guards.images import VIDEO_LIMIT
from vgslam.sources import SourceOptions, open_source

N = 30
CORNER = {"top left": (4, 4), "top right": (4, -5), "bottom left": (-5, 4), "bottom right": (-5, -5)}


def content(i: int) -> np.ndarray:
    """Noise of its own for each frame (so that it takes bytes), a white top left corner, brightness 4 i."""
    image = np.random.default_rng(i).integers(0, 60, (64, 96, 3), np.uint8) + np.uint8(4 * i)
    image[:16, :16] = 255
    return image


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """write_video(name, pts in ms, rotation in deg counter-clockwise, muxer options) -> path."""

    def write(name: str = "a.mp4", pts: list[int] | None = None, rotation: int | None = None, **options: str) -> Path:
        with av.open(str(tmp_path / name), "w", options=options) as container:
            stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "5"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            if rotation is not None:
                stream.set_display_rotation(rotation)
            for i in range(N):
                frame = av.VideoFrame.from_ndarray(content(i), format="rgb24")
                frame.pts, frame.time_base = (40 * i if pts is None else pts[i]), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return tmp_path / name

    return write


def error(image: np.ndarray, i: int) -> float:
    return float(np.abs(image.astype(float) - content(i)).mean())


def test_frames_come_in_order_with_presentation_times(write_video) -> None:
    source = open_source(write_video("walk.mp4"))
    frames = list(source)
    assert (source.kind, source.name, source.n_frames) == ("video", "walk", N)
    assert source.camera is None
    assert source.truth is None
    assert source.warnings == []
    assert [f.id for f in frames] == list(range(N))
    assert [f.timestamp_s for f in frames] == pytest.approx([0.04 * i for i in range(N)])
    errors = np.array([[error(f.image, i) for i in range(N)] for f in frames])
    assert (errors.argmin(axis=1) == np.arange(N)).all()
    assert errors.diagonal().max() < 25


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate_keeps_its_timestamps(write_video, name: str) -> None:
    pts = [40 * i + (15 if i % 3 == 1 else 0) + (500 if i > 20 else 0) for i in range(N)]
    source = open_source(write_video(name, pts=pts))
    assert [f.timestamp_s for f in source] == pytest.approx([t / 1000 for t in pts], abs=1e-3)
    assert source.warnings == []


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, "top left"), (90, "bottom left"), (180, "bottom right"), (-90, "top right")]
)
def test_rotation_metadata_is_applied(write_video, rotation: int, corner: str) -> None:
    """The white corner of the stored image goes where a player shows it."""
    frame = next(iter(open_source(write_video(rotation=rotation))))
    assert frame.image.shape == ((64, 96, 3) if rotation in (0, 180) else (96, 64, 3))
    bright = [name for name, at in CORNER.items() if frame.image[at].min() > 150]
    assert bright == [corner]


def test_calibration_of_the_unrotated_video_is_refused(write_video, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"width": 96, "height": 64, "fx": 80}')
    with pytest.raises(CalibrationError, match="96x64, the images are 64x96"):
        open_source(write_video(rotation=90), SourceOptions(calib=tmp_path / "c.json"))


def test_chosen_truth_needs_times(write_video, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("0.0 0 0 0 0 0 0 1\n0.04 1 0 0 0 0 0 1\n")
    truth = open_source(write_video(), SourceOptions(truth=tmp_path / "t.txt")).truth
    assert truth is not None
    assert truth.timestamps_s.tolist() == [0.0, 0.04]
    (tmp_path / "t.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(InputError, match="KITTI rows carry no time"):
        open_source(write_video(), SourceOptions(truth=tmp_path / "t.txt"))


def test_selection_counts_frames(write_video) -> None:
    source = open_source(write_video(), SourceOptions(start=4, end=20, stride=5, max_frames=3))
    frames = list(source)
    assert source.n_frames == 3
    assert [f.id for f in frames] == [0, 1, 2]
    assert [f.timestamp_s for f in frames] == pytest.approx([0.16, 0.36, 0.56])
    assert [int(np.argmin([error(f.image, i) for i in range(N)])) for f in frames] == [4, 9, 14]
    assert source.warnings == []


def test_start_beyond_the_end_of_a_video_of_unknown_length(write_video) -> None:
    source = open_source(write_video("a.mkv"), SourceOptions(start=500))
    assert source.n_frames is None
    with pytest.raises(InputError, match="start 500 is beyond its end"):
        list(source)


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
@pytest.mark.parametrize("fraction", [0.5, 0.62, 0.9])
def test_a_video_cut_off_gives_the_frames_before_the_cut(
    write_video, name: str, options: dict, fraction: float
) -> None:
    path = write_video(name, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    source = open_source(path)
    frames = list(source)
    assert 0.7 * fraction * N - 1 <= len(frames) < N
    assert "cut off" in source.warnings[0]
    # Not one of them shows the damage.
    assert max(error(f.image, round(f.timestamp_s / 0.04)) for f in frames) < 25


def test_an_image_that_was_cut_is_no_frame(tmp_path: Path) -> None:
    """Motion JPEG: the decoder makes what is missing grey, and calls the image whole."""
    path, image = tmp_path / "a.avi", np.random.default_rng(1).integers(0, 100, (96, 128, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
    with av.open(str(path)) as container:
        fourth = [packet for packet in container.demux(video=0) if packet.size][3]
    path.write_bytes(path.read_bytes()[: fourth.pos + fourth.size // 2])
    frames = list(open_source(path))
    assert len(frames) == 3
    assert np.ptp([f.image.mean() for f in frames]) < 1.0


def test_damage_in_the_middle_skips_frames_and_goes_on(write_video) -> None:
    path = write_video("a.mkv")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(bytes(data))
    source = open_source(path)
    frames = list(source)
    assert N // 2 < len(frames) < N
    assert frames[-1].timestamp_s == pytest.approx(0.04 * (N - 1), abs=1e-3)
    assert any("damaged" in line for line in source.warnings)


def test_a_recording_without_its_index_is_one_clear_error(write_video) -> None:
    path = write_video()  # the index of an mp4 is written last
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        InputError, match=r"a\.mp4: not a video that ffmpeg can read .*; give a complete video"
    ) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["these are words\n" * 50, "#EXTM3U\n#EXTINF:1,\nhttp://example.com/a.ts\n"])
def test_a_text_file_called_mp4(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(InputError, match=r"a\.mp4: not a video that ffmpeg can read") as caught:
        open_source(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.m3u8", "a.mp4"])
def test_a_playlist_cannot_reach_the_network(tmp_path: Path, name: str) -> None:
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/a.ts"
    (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="not a video that ffmpeg can read"):
        open_source(tmp_path / name)
    server.shutdown()
    server.server_close()
    assert asked == []


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="has no video stream"):
        open_source(tmp_path / "a.wav")


def test_a_stream_without_timestamps_gets_a_nominal_rate(write_video, tmp_path: Path) -> None:
    path = tmp_path / "a.h264"
    with av.open(str(write_video())) as source, av.open(str(path), "w", format="h264") as raw:
        stream = raw.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                raw.mux(packet)
    opened = open_source(path, SourceOptions(fps=10.0))
    assert [f.timestamp_s for f in opened] == pytest.approx([0.1 * i for i in range(N)])
    assert opened.warnings == []
    nominal = open_source(path)
    assert [f.timestamp_s for f in nominal] == pytest.approx([i / 30 for i in range(N)])
    assert nominal.warnings == ["the video has no timestamps: 30 frames/s assumed; give --fps"]


def test_frames_beyond_the_limit_of_pixels_are_not_decoded(write_video, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video()
    monkeypatch.setitem(VIDEO_LIMIT, "max_pixels", str(96 * 64 - 1))
    with pytest.raises(InputError, match="its frames have 100 million pixels at most"):
        open_source(path)
    monkeypatch.setattr("vgslam.sources.video.too_large", lambda w, h: f"an image of {w}x{h} is too large")
    monkeypatch.setitem(VIDEO_LIMIT, "max_pixels", "100000000")
    with pytest.raises(InputError, match="an image of 96x64 is too large"):
        open_source(path)
