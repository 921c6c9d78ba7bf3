"""MP4 files one behind the other in one file, as `cat a.mp4 b.mp4` makes: ffmpeg reads the first alone, or loses the
fragments between. Other containers (Matroska, AVI, MPEG) it reads to their end."""

import os
from pathlib import Path

MOST_BOXES = 1_000_000
"""Boxes of a file that are walked over: those of a fragment a second for 90 hours."""
Part = tuple[int, int]
"""First byte of a file within a file, and the byte behind its last one."""


def parts_of(path: Path) -> list[Part]:
    """The MP4 files in a file (ISO 14496-12: each begins with the box `ftyp`); the whole for any other file. Raises
    OSError."""
    begins, at, size = [0], 0, os.stat(path).st_size
    with path.open("rb") as file:
        for n in range(MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            if (n == 0 and head[4:8] != b"ftyp") or len(head) < 8 or not head[4:8].isalnum():
                break
            if head[4:8] == b"ftyp" and n:
                begins.append(at)
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:16], "big") if length == 1 else length
            at += length
            if length < 8 or at >= size:  # 0: up to the end
                break
    return list(zip(begins, [*begins[1:], size], strict=True))
