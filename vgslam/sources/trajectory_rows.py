"""The rows of a trajectory file as text: what divides them, what their columns are called, which layout they have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vgslam.errors import InputError
from vgslam.guards.documents import is_number
from vgslam.sources.numbered import LEAST_STEP_NS
from vgslam.sources.times import LATEST_S, PER_SECOND, text_of_rows, unit_by_size

TUM_COLUMNS = ("time", "tx", "ty", "tz", "qx", "qy", "qz", "qw")
N_KITTI, N_4X4 = 12, 16
_UNIT = re.compile(r"[\[(]\s*([^\])]*)\s*[\])]")
_TIME = re.compile(r"(^|_)(time|timestamp|stamp|t|sec|secs|seconds|nsec|ns|time_?stamp)($|_)|timestamp")
_POSITION = re.compile(r"^(?:.*_)?(?:t|p|pos|position|trans|translation)_?(?:rs_?)?(?:r_)?([xyz])$|^([xyz])$")
_ROTATION = re.compile(r"^(?:.*_)?(?:q|quat|quaternion|rot|rotation|ori|orientation)_?(?:rs_)?([xyzw])$|^(w)$")


class Row(NamedTuple):
    """One line that holds data."""

    line: int
    """Its number in the file, from 1."""
    fields: list[str]
    """The values as text."""
    is_csv: bool
    """Whether commas or semicolons divide them."""


@dataclass(frozen=True)
class ColumnLayout:
    """What the columns of a trajectory file hold."""

    kind: str
    """tum, kitti or euroc."""
    columns: tuple[int, ...]
    """Where time, tx, ty, tz, qx, qy, qz, qw are; for kitti the 12 numbers."""
    unit: str
    """Unit of the times: s, ms, us or ns."""
    is_exact: bool
    """Whether rows may have no more fields than these."""


@dataclass(frozen=True)
class Rows:
    """The data of a file, its comments, and the first line if that only names the columns."""

    path: Path
    rows: list[Row]
    comments: list[str]
    """Those before the data."""
    names: str | None = None

    @staticmethod
    def read(path: Path) -> "Rows":
        """Raises InputError for a file that cannot be read, that is JSON, HTML or no text, or that holds no data."""
        text = text_of_rows(path, "trajectory ", "; give a TUM, KITTI or EuRoC file")
        other = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}.get(text.lstrip()[:1])
        if other is not None:
            raise InputError(f"{path}: is {other}, not a trajectory; give a TUM, KITTI or EuRoC file")
        rows: list[Row] = []
        comments: list[str] = []
        names = None
        for number, line in enumerate(text.splitlines(), start=1):
            content, _, comment = line.partition("#")
            row = Row(number, _split(content), "," in content or ";" in content)
            if comment and not row.fields and not rows:
                comments.append(comment.strip())
            if not row.fields:
                continue
            if not rows and names is None and len(row.fields) > 1 and not any(map(is_number, row.fields)):
                names = content.strip()
                continue
            rows.append(row)
        if not rows:
            raise InputError(f"{path}: holds no poses; give a TUM, KITTI or EuRoC file")
        return Rows(path, rows, comments, names)

    def layout(self, kind: str = "auto") -> ColumnLayout:
        """Which columns hold what: by their names, else by their number and the look of the times. Raises
        InputError."""
        named = self._named(kind)
        if named is not None:
            return named
        n = len(self.rows[0].fields)
        if self.names is not None and kind == "auto":
            raise InputError(f"{self.path}, line 1: its names of columns are not understood; "
                             f"name them {','.join(('timestamp', *TUM_COLUMNS[1:]))}")  # fmt: skip
        if kind == "auto":
            kind = self._kind(n)
        if kind == "kitti":
            return ColumnLayout(kind, tuple(range(N_KITTI)), "s", n != N_4X4)
        if kind == "euroc":
            return ColumnLayout(kind, (0, 1, 2, 3, 5, 6, 7, 4), "ns", False)
        first = int(n == 1 + len(TUM_COLUMNS) and self._is_counted)
        return ColumnLayout(kind, tuple(range(first, first + 8)), self._unit(first, ""), True)

    def _kind(self, n: int) -> str:
        if self.rows[0].is_csv and self._is_ns(n):
            return "euroc"
        if n == N_KITTI or (n == N_4X4 and all(_is_last_row(row.fields[N_KITTI:]) for row in self.rows)):
            return "kitti"
        if n == len(TUM_COLUMNS) or self.rows[0].is_csv or (n == 1 + len(TUM_COLUMNS) and self._is_counted):
            return "tum"
        looks = what_rows_are(self.rows[0].fields, self.comments)
        raise InputError(f"{self.path}: {n} numbers per line are neither a TUM (8) nor a KITTI (12) trajectory{looks}")

    @property
    def _is_counted(self) -> bool:
        """Whether the first column numbers the rows, and the second does not."""
        columns = [[row.fields[i] for row in self.rows if len(row.fields) > i] for i in (0, 1)]
        counts = [all(t.isdecimal() for t in c) and np.all(np.diff([int(t) for t in c]) == 1) for c in columns]
        return bool(len(self.rows) > 1 and counts[0] and not counts[1])

    def _is_ns(self, n: int) -> bool:
        """Whether the times are whole numbers, as far apart as nanoseconds are between images; among the n = 12 numbers
        of a matrix, the first is none unless it is large."""
        texts = [row.fields[0] for row in self.rows[:100]]
        times = np.array([float(t) for t in texts if is_number(t)])
        if len(times) < len(texts) or not np.isfinite(times).all():
            return False
        if times.max() >= LATEST_S * 1e6:
            return True
        is_close = len(times) > 1 and float(np.median(np.abs(np.diff(times)))) < LEAST_STEP_NS
        return all(t.isdecimal() for t in texts) and not is_close and (n != N_KITTI or times.max() > LEAST_STEP_NS)

    def _named(self, kind: str) -> ColumnLayout | None:
        """The layout by the names of the columns, in the first line or in a comment above the data."""
        for line in (self.names, *reversed(self.comments)):
            names = [] if line is None else column_names(line)
            places = _places([name for name, _ in names])
            n = len(self.rows[0].fields)
            if kind == "kitti" or places is None or len(names) > n:
                continue
            unit = self._unit(places[0], names[places[0]][1])
            is_euroc = kind == "euroc" or (kind == "auto" and unit == "ns")
            return ColumnLayout("euroc" if is_euroc else "tum", places, "ns" if kind == "euroc" else unit, False)
        return None

    def _unit(self, column: int, written: str) -> str:
        """The unit of the times: as the name of the column says, else by their size."""
        if written in PER_SECOND:
            return written
        texts = [row.fields[column] for row in self.rows if len(row.fields) > column]
        largest = max((abs(float(t)) for t in texts if is_number(t) and np.isfinite(float(t))), default=0.0)
        return unit_by_size(largest)


def what_rows_are(fields: Sequence[str], comments: Sequence[str] = ()) -> str:
    """What a row seems to be that is no trajectory's, and what to do; empty where it looks like nothing known."""
    wanted = f"write {' '.join(('timestamp', *TUM_COLUMNS[1:]))}"
    if any(comment.startswith("Image list") for comment in comments):
        return (f"; it is COLMAP's images.txt, whose poses are from world to camera and have no times: invert them and "
                f"{wanted}")  # fmt: skip
    if not is_number(fields[0]) and re.search(r"\.\w{2,5}$", fields[0]):
        return f"; the rows begin with the name of an image ({fields[0][:40]}), where its time is wanted: {wanted}"
    if any(re.fullmatch(r"[-+]?\d+,\d+", field) for field in fields):
        return "; the numbers have commas for points"
    return {
        4: f"; a time and a position without a rotation? {wanted}, with 0 0 0 1 where it is not known",
        7: f"; a position and a quaternion without a time (TartanAir)? Put the time before them: {wanted}",
        13: f"; a time and a 3x4 matrix? Leave the time out (KITTI), or {wanted}",
        17: f"; a time and a 4x4 matrix? Leave the time out (KITTI), or {wanted}",
    }.get(len(fields), "")


def is_untimed(path: Path, kind: str = "auto") -> bool:
    """Whether a trajectory file is KITTI's, whose rows carry no time. Raises InputError as `Rows`."""
    return (Rows.read(path).layout().kind if kind == "auto" else kind) == "kitti"


def column_names(line: str) -> list[tuple[str, str]]:
    """Names of columns in lower case, words divided by _, and the unit of each, "" if it has none."""
    divider = ";" if ";" in line else "," if "," in line else None
    line = line.lstrip("# ")
    if divider is None:
        line = _UNIT.sub(lambda found: "[" + found[1].replace(" ", "") + "]", line)
        line = re.sub(r"\s+\[", "[", line)
    return [_named_column(word) for word in line.split(divider)]


def _named_column(word: str) -> tuple[str, str]:
    unit = _UNIT.search(word)
    name = re.sub(r"[^a-z0-9]+", "_", _UNIT.sub("", word).strip().lower()).strip("_")
    written = "" if unit is None else unit[1].strip().lower().replace("µ", "u")
    ending = re.search(r"_(ns|us|ms|s|nsec|sec)$", name)
    if not written and ending:
        written = ending[1].removesuffix("ec")
    return name, {"sec": "s", "nsec": "ns", "seconds": "s", "nanoseconds": "ns"}.get(written, written)


def _places(names: Sequence[str]) -> tuple[int, ...] | None:
    """Where time, tx, ty, tz, qx, qy, qz, qw are among names of columns; None unless each is there, once."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        rotation, position = _ROTATION.match(name), _POSITION.match(name)
        if rotation:
            found.setdefault("q" + (rotation[1] or rotation[2]), []).append(i)
        elif position:
            found.setdefault("t" + (position[1] or position[2]), []).append(i)
        elif _TIME.search(name):
            found.setdefault("time", []).append(i)
    if any(name not in found for name in TUM_COLUMNS):
        return None
    if any(len(found[name]) > 1 for name in TUM_COLUMNS[1:]):
        return None
    return tuple(found[name][0] for name in TUM_COLUMNS)


def _split(content: str) -> list[str]:
    """The fields of a line divided by semicolons (whose numbers may have decimal commas), commas or spaces."""
    if ";" in content:
        return [field.strip().replace(",", ".") for field in content.strip().strip(";").split(";")]
    return content.replace(",", " ").split()


def _is_last_row(fields: Sequence[str]) -> bool:
    """Whether four fields are the last row of a rigid motion."""
    return len(fields) == 4 and all(map(is_number, fields)) and [float(x) for x in fields] == [0.0, 0.0, 0.0, 1.0]
