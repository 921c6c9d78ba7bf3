"""The endings that the file of an export may have: another program goes by them."""

from pathlib import Path

from vgslam.errors import ConfigError

CLOUD, MESH, GLTF = (".ply",), (".ply", ".obj", ".glb", ".gltf"), (".glb", ".gltf")
SUFFIXES: dict[str, tuple[str, ...]] = {
    "ply": CLOUD, "gltf": GLTF, "mesh": MESH, "tum": (".tum", ".txt"), "kitti": (".kitti", ".txt")
}  # fmt: skip
"""The endings that each format can be written as, the usual one first; all other formats take any that is not here."""
FOLDERS = ("colmap", "colmap-text", "nerfstudio", "depth-png", "depth-npz", "depth-exr")  # formats of several files
FILES = (".txt", ".json", ".bin", ".csv", ".db", ".zip", ".tar", ".gz")
"""Endings of files that a folder should not have."""
GEOMETRY = (".ply", ".obj", ".glb", ".gltf", ".xyz", ".pcd", ".pts", ".las", ".laz", ".stl", ".off", ".fbx", ".usd",
            ".usdz", ".e57")  # fmt: skip
"""Endings of files with points and surfaces."""


def check_suffix(name: str, out: Path) -> str:
    """The ending to write as: that of `out` in lower case, the format's usual one where it has none. Raises ConfigError
    for one that the format `name` does not have, which says what is possible."""
    suffix, possible = out.suffix.lower(), SUFFIXES.get(name, ())
    if name in FOLDERS and suffix in FILES:
        raise ConfigError(f"{out}: --format {name} writes a folder; give a name without {suffix}")
    if not possible:
        if suffix in GEOMETRY:
            others = " or ".join(f"--format {f}" for f, known in SUFFIXES.items() if suffix in known)
            raise ConfigError(f"{out}: --format {name} does not write {suffix}; {_advice(others)}")
        return suffix
    if not suffix:
        return possible[0]
    if suffix not in possible:
        others = " or ".join(f"--format {f}" for f, known in SUFFIXES.items() if suffix in known)
        what = f"--format {name} writes {', '.join(possible)}, not {suffix}"
        raise ConfigError(f"{out}: {what}" + (f"; for {suffix} give {others}" if others else ""))
    return suffix


def _advice(others: str) -> str:
    if others:
        return f"give {others} for it"
    return "; ".join(f"--format {f} writes {', '.join(known)}" for f, known in SUFFIXES.items())
