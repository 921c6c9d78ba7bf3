"""OpenEXR files of floating-point channels: one part, scan lines, without compression, which every reader knows.

Format: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

import struct
from collections.abc import Mapping

import numpy as np

from vgslam.types import Float32

MAGIC, VERSION = 20000630, 2
FLOAT_PIXELS, NO_COMPRESSION, TOP_DOWN = 2, 0, 0


def exr_of(channels: Mapping[str, Float32]) -> bytes:
    """Channels (H,W), all of one size, as a file. Names have at most 31 characters of ASCII."""
    height, width = next(iter(channels.values())).shape
    ordered = {name: np.asarray(channels[name], "<f4") for name in sorted(channels)}
    header = struct.pack("<ii", MAGIC, VERSION) + _header(list(ordered), height, width)
    line_bytes = 4 * width * len(ordered)
    first = len(header) + 8 * height
    offsets = first + (8 + line_bytes) * np.arange(height, dtype="<u8")
    lines = np.zeros(height, [("y", "<i4"), ("size", "<i4"), ("pixels", "<f4", (len(ordered), width))])
    lines["y"], lines["size"] = np.arange(height), line_bytes
    lines["pixels"] = np.stack(list(ordered.values()), axis=1)
    return header + offsets.tobytes() + lines.tobytes()


def _header(names: list[str], height: int, width: int) -> bytes:
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode("ascii") + struct.pack("<xiB3xii", FLOAT_PIXELS, 0, 1, 1) for name in names)
    attributes = [
        ("channels", "chlist", listed + b"\0"), ("compression", "compression", bytes([NO_COMPRESSION])),
        ("dataWindow", "box2i", window), ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", bytes([TOP_DOWN])), ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<ff", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    ]  # fmt: skip
    told = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    return told + b"\0"
