"""Positions or accelerations of a camera over time: a TUM trajectory, or a CSV file whose first line names columns.

CSV columns (case does not matter, a unit in brackets is left out): time, timestamp or t (seconds; ns, us and ms are
recognised); x y z, tx ty tz, px py pz, p_x p_y p_z or east north up; or latitude longitude altitude in degrees and
metres (a local east-north-up frame at the first row); sigma, or sigma_x sigma_y sigma_z, in metres; ax ay az in m/s^2.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.guards.documents import to_number
from vgslam.sources.times import PER_SECOND, text_of_rows, unit_by_size
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array

NAMES = {
    "time": ("time", "timestamp", "t", "stamp", "time_s", "timestamp_s", "time_ns", "timestamp_ns", "time_ms", "sec"),
    "x": ("x", "tx", "px", "p_x", "p_rs_r_x", "east", "e", "x_m"),
    "y": ("y", "ty", "py", "p_y", "p_rs_r_y", "north", "n", "y_m"),
    "z": ("z", "tz", "pz", "p_z", "p_rs_r_z", "up", "u", "z_m"),
    "latitude": ("latitude", "lat", "latitude_deg"), "longitude": ("longitude", "lon", "lng", "long", "longitude_deg"),
    "altitude": ("altitude", "alt", "height", "ele", "elevation", "altitude_m"),
    "sigma": ("sigma", "sigma_m", "accuracy", "std"), "sigma_x": ("sigma_x", "sx", "sigma_e", "std_x"),
    "sigma_y": ("sigma_y", "sy", "sigma_n", "std_y"), "sigma_z": ("sigma_z", "sz", "sigma_u", "std_z"),
    "ax": ("ax", "acc_x", "a_x", "accel_x"), "ay": ("ay", "acc_y", "a_y", "accel_y"),
    "az": ("az", "acc_z", "a_z", "accel_z"),
}  # fmt: skip
_EQUATOR_M, _FLATTENING = 6378137.0, 1 / 298.257223563
MOST = 1e9
"""A position, a deviation or an acceleration beyond this, in metres, is no number: the earth's radius is 6.4e6 m."""
_MAX_LOCAL_M = 50e3
"""Extent up to which the earth is taken for flat around the first row: 50 km away its surface is 200 m lower."""


@dataclass(frozen=True)
class Fixes:
    """Positions over time."""

    times_s: Array
    """(N,), strictly increasing."""
    positions_m: Array
    """(N,3)."""
    sigmas_m: Array | None
    """(N,3) standard deviations; None where the file gives none."""
    is_up_known: bool
    """Whether z points up: latitudes, or columns named up."""


@dataclass(frozen=True)
class Accelerations:
    """Accelerations over time."""

    times_s: Array  # (N,), strictly increasing
    values: Array  # (N,3) in m/s^2


def read_fixes(path: Path) -> Fixes:
    """Positions of a TUM or CSV file. Raises InputError, naming the file and what is missing."""
    rows = _csv_columns(path)
    if rows is None:
        trajectory = read_trajectory(path, is_metric=True)
        return Fixes(trajectory.timestamps_s, trajectory.T_world_cam[:, :3, 3].copy(), None, False)
    columns, names = rows
    times, order = _times(path, columns, names)
    if {"x", "y", "z"} <= set(columns):
        positions = np.stack([columns[c] for c in "xyz"], axis=1)
        is_up = names["z"] in ("up", "u")
    elif {"latitude", "longitude"} <= set(columns):
        positions, is_up = _local(path, columns), True
    else:
        raise InputError(f"{path}: no columns x,y,z or latitude,longitude; it has {', '.join(names.values())}")
    return Fixes(times[order], positions[order], None if (s := _sigmas(path, columns)) is None else s[order], is_up)


def read_accelerations(path: Path) -> Accelerations:
    """Accelerations of a CSV file. Raises InputError, naming the file and what is missing."""
    rows = _csv_columns(path)
    if rows is None or not {"ax", "ay", "az"} <= set(rows[0]):
        raise InputError(f"{path}: no columns ax,ay,az; give a CSV file whose first line names time,ax,ay,az")
    times, order = _times(path, *rows)
    return Accelerations(times[order], np.stack([rows[0][c] for c in ("ax", "ay", "az")], axis=1)[order])


def _csv_columns(path: Path) -> tuple[dict[str, Array], dict[str, str]] | None:
    """Columns by our names, and what the file calls them; None for a file without a first line of names."""
    text = text_of_rows(path, advice="; give a TUM or CSV file")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0].lstrip("# ") if lines else ""
    if "," not in first or not any(c.isalpha() for c in first):
        return None  # numbers alone, or the comment of a TUM file
    header = [name.split("[")[0].split("(")[0].strip().lower() for name in next(csv.reader([first]))]
    known = {ours: i for ours, all_names in NAMES.items() for i, n in enumerate(header) if n in all_names}
    if "time" not in known and lines[0].startswith("#"):
        return None
    data = [row for row in csv.reader(lines[1:]) if not row[0].startswith("#")]
    table = np.empty((len(data), len(known)))
    for k, row in enumerate(data):
        try:
            table[k] = [to_number(row[i]) if row[i].strip() else np.nan for i in known.values()]
        except (ValueError, IndexError) as err:
            raise InputError(f"{path}, row {k + 2}: not {len(header)} numbers ({','.join(header)})") from err
    is_number = np.isfinite(table) & ((np.abs(table) <= MOST) | (np.array(list(known)) == "time"))
    table = table[is_number.all(axis=1)]
    if not len(table):
        raise InputError(f"{path}: holds no row of numbers")
    unit = " [ns]" if "time" in known and "[ns]" in next(csv.reader([first]))[known["time"]].lower() else ""
    names = {ours: header[i] + (unit if ours == "time" else "") for ours, i in known.items()}
    return {ours: table[:, j] for j, ours in enumerate(known)}, names


def _times(path: Path, columns: dict[str, Array], names: dict[str, str]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Seconds (N,), and the rows (n,) that make them increase."""
    if "time" not in columns:
        raise InputError(f"{path}: no column time; it has {', '.join(names.values()) or 'none that is known'}")
    t = columns["time"]
    per_s = 1e9 if "ns" in names["time"] else 1e3 if "_ms" in names["time"] else 1.0
    if per_s == 1.0:
        per_s = PER_SECOND[unit_by_size(float(np.abs(t).max()))]
    times = t / per_s
    return times, np.unique(times, return_index=True)[1].astype(np.int64)


def _sigmas(path: Path, columns: dict[str, Array]) -> Array | None:
    if {"sigma_x", "sigma_y", "sigma_z"} <= set(columns):
        found = np.stack([columns[f"sigma_{c}"] for c in "xyz"], axis=1)
    elif "sigma" in columns:
        found = np.repeat(columns["sigma"][:, None], 3, axis=1)
    else:
        return None
    if (found <= 0).any():
        raise InputError(f"{path}: a deviation (sigma) is not positive")
    return found


def _local(path: Path, columns: dict[str, Array]) -> Array:
    """East, north, up (N,3) in metres around the first row, on WGS 84."""
    lat, lon = columns["latitude"], columns["longitude"]
    if (np.abs(lat) > 90).any() or (np.abs(lon) > 360).any():
        raise InputError(f"{path}: latitude or longitude out of range; both must be in degrees")
    altitude = columns.get("altitude", np.zeros(len(lat)))
    earth = _ecef(np.radians(lat), np.radians(lon), altitude)
    a, o = np.radians(lat[0]), np.radians(lon[0])
    R = np.array([
        [-np.sin(o), np.cos(o), 0.0],
        [-np.sin(a) * np.cos(o), -np.sin(a) * np.sin(o), np.cos(a)],
        [np.cos(a) * np.cos(o), np.cos(a) * np.sin(o), np.sin(a)],
    ])  # fmt: skip
    local = (earth - earth[0]) @ R.T
    if np.abs(local).max() > _MAX_LOCAL_M:
        raise InputError(f"{path}: positions are more than {_MAX_LOCAL_M / 1e3:g} km apart; check the columns")
    return local


def _ecef(lat: Array, lon: Array, altitude: Array) -> Array:
    """Earth-centred coordinates (N,3) of geodetic ones on WGS 84 (NIMA TR8350.2, eq. 4-14)."""
    e2 = _FLATTENING * (2 - _FLATTENING)
    n = _EQUATOR_M / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    flat = (n + altitude) * np.cos(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), (n * (1 - e2) + altitude) * np.sin(lat)], axis=1)
