"""The programs of docs/extend.md: a data set and a live source of one's own."""

import re
from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.sources.options import SourceOptions

PROGRAMS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "extend.md").read_text(), re.S
)  # fmt: skip


def program(word: str, **names: object) -> dict[str, object]:
    """What the program that holds a word defines."""
    (code,) = (p for p in PROGRAMS if word in p)
    scope: dict[str, object] = {"__name__": "document", **names}
    exec(compile(code, "extend.md", "exec"), scope)
    return scope


def test_a_data_set_of_ones_own(tmp_path: Path, write_images) -> None:
    images = write_images(tmp_path, [f"{i}.png" for i in (1, 2, 10)])
    (tmp_path / "rate.txt").write_text("20\n")
    source = program("open_numbered")["open_source"](tmp_path, SourceOptions(stride=2))  # type: ignore[operator]
    frames = list(source)
    assert [f.timestamp_s for f in frames] == [0.0, 0.1]
    np.testing.assert_array_equal(frames[1].image, images[2])
    with pytest.raises(InputError, match="no images"):
        program("open_numbered")["open_source"](tmp_path / "..", SourceOptions())  # type: ignore[operator]


def test_a_live_source_of_ones_own() -> None:
    pictures = [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(3)]

    class Camera:
        n = 0

        @property
        def is_open(self) -> bool:
            return self.n < len(pictures)

        def next(self) -> tuple[bytes, float]:
            self.n += 1
            return pictures[self.n - 1].tobytes(), 4.0 + self.n

    def decode(data: bytes) -> np.ndarray:
        return np.frombuffer(data, np.uint8).reshape(8, 8, 3)

    code = program("LiveSource", connect=Camera, decode=decode)
    source = code["source"]
    frame = next(iter(source))  # type: ignore[call-overload]
    source.close()  # type: ignore[attr-defined]
    assert frame.timestamp_s in (5.0, 6.0, 7.0)
    np.testing.assert_array_equal(frame.image, pictures[int(frame.timestamp_s - 5)])
