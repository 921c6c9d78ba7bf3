"""What a file is that is no video: said by name, with the next step."""

from pathlib import Path

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
    archive = _archive(name, data)
    if archive is not None:
        command = f"{ARCHIVES[archive]} {path.name}"
        return f"an archive or compressed file ({archive}); unpack it (`{command}`) and give what is in it"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and b"ANIM" in data[:64]:
        return "an animated WebP, which ffmpeg cannot read; convert it to MP4 or GIF, or to a folder of images"
    return None


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
