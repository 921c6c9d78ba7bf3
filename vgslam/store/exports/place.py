"""Where an export may go: not into a map, not over what is no export; and what of an earlier one is removed."""

from contextlib import suppress
from pathlib import Path

from vgslam.errors import ConfigError, OutputError
from vgslam.guards.paths import is_folder, is_link, is_plain_file
from vgslam.results.saved_depth import TABLE as DEPTH_TABLE
from vgslam.store.exports.images import HEADER, IMAGES, TABLE
from vgslam.store.exports.nerfstudio import DEPTHS, SPARSE, TRANSFORMS
from vgslam.store.exports.suffixes import FOLDERS
from vgslam.store.manifest import MANIFEST
from vgslam.store.open import PICTURES

DEPTH_ENDINGS = ("_confidence.png", ".npz", ".exr")
"""What a depth image may end in beside an image's own name."""
MODEL = ("cameras", "images", "points3D", "rigs", "frames")
"""Files of a COLMAP model; COLMAP itself adds the last two, which would not fit other images."""


def check_place(name: str, out: Path, may_overwrite: bool) -> None:
    """Whether an export of format `name` may be written to `out`. Raises ConfigError for standard output, OutputError
    for a place that is taken."""
    if str(out) == "-":
        raise ConfigError("-: an export goes into a file or a folder, not to standard output; give its name")
    for folder in (out, *out.absolute().parents):
        if is_plain_file(folder / MANIFEST) and is_folder(folder / PICTURES):
            raise OutputError(f"{out}: {folder} is a map, which an export would get mixed with; choose another place")
    if not out.exists():
        return
    if is_folder(out) != (name in FOLDERS):
        kind, written = ("folder", "file") if is_folder(out) else ("file", "folder")
        raise OutputError(f"{out}: is a {kind}, and --format {name} writes a {written}; give another -o")
    if not may_overwrite:
        raise OutputError(f"{out}: exists already; add --overwrite or give another -o")
    if is_folder(out) and not is_export(out) and any(not is_folder(p) or is_link(p) for p in out.rglob("*")):
        raise OutputError(f"{out}: holds files and no export (no {TABLE} of one); --overwrite replaces exports alone; "
                          "name a new folder")  # fmt: skip


def is_export(folder: Path) -> bool:
    """Whether the folder holds an export of several files, one that was not finished too."""
    with suppress(OSError), (folder / TABLE).open("rb") as file:
        return file.readline(len(HEADER) + 2).strip() == HEADER.encode()
    return False


def remove_export(folder: Path) -> None:
    """Removes the files of an export, whatever its format was: of two models in one folder, other programs read the
    older one. What others have put there stays. Raises OSError."""
    if not is_export(folder):
        return
    rows = (folder / TABLE).read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    names = [row.rsplit(",", 4)[0] for row in rows]
    own = [f for f in names if f not in ("", ".", "..") and "/" not in f]
    files = [folder / inner / f for inner in (IMAGES, DEPTHS) if not is_link(folder / inner) for f in own]
    if not is_link(folder / DEPTHS):
        stems = [Path(f).stem for f in own]
        files += [folder / DEPTHS / f"{stem}{ending}" for stem in stems for ending in DEPTH_ENDINGS]
        files.append(folder / DEPTHS / DEPTH_TABLE)
    model = folder / "sparse" / "0"
    if not is_link(model) and not is_link(model.parent):
        files += [model / f"{part}{ending}" for part in MODEL for ending in (".bin", ".txt")]
    for file in (*files, folder / TRANSFORMS, folder / SPARSE):
        if is_plain_file(file) or is_link(file):
            file.unlink()
