"""Files that are no input are called by their name."""

import gzip
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import add_stream, encode, pictures

from vgslam.errors import InputError
from vgslam.sources import open_source


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar", "a.mp4.gz", "a.mp4"])
def test_archives_are_to_be_unpacked(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x" * 100)
    path = tmp_path / name
    unpacks = "tar xf"
    if name.endswith((".zip", ".mp4")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "x.txt")
        unpacks = "unzip"
    elif ".mp4" in name:
        path.write_bytes(gzip.compress(b"x" * 100))
        unpacks = "gunzip"
    else:
        with tarfile.open(path, "w:" if name.endswith(".tar") else "w:gz") as tar:
            tar.add(tmp_path / "x.txt")
    assert f"unpack it (`{unpacks} {name}`)" in refused(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.mp4", b"", "the file is empty"),
        ("a.bag.active", b"#ROSBAG V2.0\n", "run `rosbag reindex` on it"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\x00\x04", "7z x a.7z"),
        ("a.mp4", b"<!DOCTYPE html>\n<html><body>404</body></html>", "it is a web page: the download failed"),
        ("a.mp4", "<html>\u00e9".encode(), "it is a web page"),
        ("a.mp4", b"AccessDenied: no\nmore", "it is text that begins with 'AccessDenied: no'"),
        ("a.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run `git lfs pull`"),
        ("a.mp4", bytes(3000), "not a video that ffmpeg can read (Invalid data"),
    ],
)
def test_what_the_file_is_instead(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert message in refused(tmp_path / name)


def test_an_animated_webp(tmp_path: Path) -> None:
    images = [Image.fromarray(image) for image in pictures(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:])
    assert "an animated WebP" in refused(tmp_path / "a.webp")


def test_sound_with_a_cover_picture(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
        cover = add_stream(container, pictures(1)[0], "mjpeg", options={}, pix_fmt="yuvj420p")
        cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
        encode(container, cover, pictures(1))
    assert "only a cover picture" in refused(tmp_path / "a.m4a")
