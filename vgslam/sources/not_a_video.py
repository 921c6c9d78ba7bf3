"""What a file is that is no video: said by name, with the next step."""

import re
import struct
from pathlib import Path
from typing import BinaryIO

ARCHIVES = {
    ".zip": "unzip", ".tar": "tar xf", ".tgz": "tar xf", ".tbz2": "tar xf", ".txz": "tar xf", ".gz": "gunzip",
    ".7z": "7z x", ".rar": "unrar x", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd",
}  # fmt: skip
"""Endings of archives and compressed files, and what unpacks them."""
MAGIC = (
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x1f\x8b", ".gz"),
    (0, b"7z\xbc\xaf\x27\x1c", ".7z"),
    (0, b"Rar!\x1a\x07", ".rar"),
    (0, b"BZh", ".bz2"),
    (0, b"\xfd7zXZ\x00", ".xz"),
    (0, b"\x28\xb5\x2f\xfd", ".zst"),
    (257, b"ustar", ".tar"),
)
"""Where in a file stands what, and the ending of such files."""
OTHERS = (
    (b"\x89HDF\r\n\x1a\n", (".h5", ".hdf5"), "HDF5; write its images as PNG files"),
    (b"%PDF", (".pdf",), "a PDF; give the images or the video"),
    (b"SQLite format 3\0", (), "a database (RTAB-Map, COLMAP, ...); export its images, or give their folder"),
    (b"\x93NUMPY", (".npy", ".npz"), "arrays of NumPy; write them as images (cv2.imwrite), a file for each"),
    (None, (".sens",), "a recording of ScanNet; export its frames with the data set's SensReader"),
    (None, (".svo", ".svo2"), "a recording of ZED; export it as a video with its own tools"),
    (None, (".braw", ".r3d", ".ari", ".crm"), "raw video that ffmpeg cannot read; convert it to H.264 or ProRes"),
    (None, (".srt", ".vtt", ".ass"), "subtitles, or a drone's telemetry; give the video beside it (--scale-from "
     "positions:FILE takes positions as CSV)"),
    (None, (".yuv",), "frames without a header; say their size and format to ffmpeg (`ffmpeg -f rawvideo "
     "-pixel_format yuv420p -video_size 640x480 -i FILE out.mkv`) and give what it makes"),
)  # fmt: skip
"""First bytes (None: any), endings, and what such a file is and what to do. Endings are asked only where they are the
only sign."""
_ROW = re.compile(r"\s*(?:[-+.\deE]+[\s,;]+){6,}[-+.\deE]+\s*$")
N_BYTES = 4096


def refusal(path: Path) -> str | None:
    """A line, without the path, that says what the file is instead of an input, and what to do; None if not known."""
    data = _beginning(path)
    if not data:
        return "the file is empty (0 bytes): the download or the recording failed; get it again"
    name = path.name.lower()
    if name.endswith(".bag.active"):
        return (
            "a ROS bag that was never closed; stop `rosbag record`, or run `rosbag reindex` on it and rename it to end "
            "in .bag"
        )
    for magic, endings, what in OTHERS:
        if (magic is not None and data.startswith(magic)) or name.endswith(endings):
            return f"the file is {what}"
    archive = _archive(name, data)
    if archive is not None:
        command = f"{ARCHIVES[archive]} {path.name}"
        return f"an archive or compressed file ({archive}); unpack it (`{command}`) and give what is in it"
    n_pages = tiff_pages(path)
    if n_pages > 1:
        return (f"a TIFF of {n_pages} pages; write each as an image of its own (`tiffsplit {path.name}`, or "
                f"ImageMagick's `convert {path.name} %04d.png`) and give their folder")  # fmt: skip
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and b"ANIM" in data[:64]:
        return "an animated WebP, which ffmpeg cannot read; convert it to MP4 or GIF, or to a folder of images"
    return None


def is_animated_png(path: Path) -> bool:
    """Whether it is a PNG with a chunk `acTL` ahead of its pixels (APNG), which ffmpeg plays."""
    data = _beginning(path)
    head = data[: data.find(b"IDAT")] if b"IDAT" in data else data
    return data.startswith(b"\x89PNG") and b"acTL" in head


def tiff_pages(path: Path, most: int = 10_000) -> int:
    """Images in a TIFF file, not those of reduced resolution (TIFF 6.0, sections 2 and 8); 0 for another file."""
    try:
        with path.open("rb") as file:
            return _pages(file, most)
    except (OSError, struct.error):
        return 0


def _pages(file: BinaryIO, most: int) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(file.read(4))
    if order is None:
        return 0
    n, seen = 0, set[int]()
    (at,) = struct.unpack(order + "I", file.read(4))
    while at and at not in seen and len(seen) < most:
        seen.add(at)
        file.seek(at)
        (n_fields,) = struct.unpack(order + "H", file.read(2))
        fields = [struct.unpack(order + "HHI4s", file.read(12)) for _ in range(n_fields)]
        kinds = [struct.unpack(order + "I", value)[0] for tag, kind, _, value in fields if (tag, kind) == (254, 4)]
        n += not (kinds and kinds[0] & 1)
        (at,) = struct.unpack(order + "I", file.read(4))
    return n


def what_text_it_is(path: Path) -> str | None:
    """What a file of text is that was given as a video, and what to do; None for other files."""
    data = _beginning(path)
    try:
        text = data.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError as err:
        text = data[: err.start].decode("utf-8-sig", "replace").lstrip() if err.start > len(data) - 4 else ""
    if not text or any(ord(c) < 32 and c not in "\t\r\n\f" for c in text):
        return None
    beginning = text[:200].lower()
    if beginning.startswith("version https://git-lfs"):
        return "it is a pointer of Git LFS; run `git lfs pull`"
    if beginning.startswith(("<!doctype html", "<html")) or "<html" in beginning:
        return "it is a web page: the download failed; download the video again"
    if beginning.startswith("#extm3u"):
        return "it is a playlist, of which only files here are followed; download the video or try `vgslam live`"
    if _ROW.match(next((line for line in text.splitlines() if not line.startswith("#")), "")):
        return "it is rows of numbers, as of a trajectory, which `vgslam eval` scores"
    line = text.splitlines()[0][:40]
    return f"it is text that begins with '{line}': the download may have failed; download the video again"


def _archive(name: str, data: bytes) -> str | None:
    """The ending, known from the name or the beginning, of the archive that a file is."""
    for at, magic, ending in MAGIC:
        if data[at : at + len(magic)] == magic:
            return ".tar" if ".tar." in name or name.endswith((".tgz", ".tbz2", ".txz")) else ending
    return None


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(N_BYTES)
    except OSError:
        return b"?"
