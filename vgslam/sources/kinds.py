"""The kinds of recording, and how each is recognised and opened."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from vgslam.errors import InputError
from vgslam.guards.paths import is_folder
from vgslam.interfaces import SourceKind
from vgslam.plugins import Registry
from vgslam.sources.image_files import list_images
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording

Opener = Callable[[Path, SourceOptions], Recording]


@dataclass(frozen=True)
class Format:
    """A `SourceKind` of the package. Its opener is imported on use: some need large libraries."""

    kind: str
    module: str
    """Module of this package with the opener."""
    opener: str
    looks_right: Callable[[Path], bool] | None = None
    """Whether a folder is of this kind; None for kinds that are files."""
    suffixes: tuple[str, ...] = ()
    """Endings of the names of such files."""

    def matches(self, path: Path) -> bool:
        """Whether an existing file or folder is of this kind."""
        if path.is_dir():
            return self.looks_right is not None and self.looks_right(path)
        return path.suffix.lower() in self.suffixes

    def open(self, path: Path, options: SourceOptions) -> Recording:
        """Raises InputError for a file in place of a folder and the reverse, and what the opener raises."""
        may_be_folder = self.looks_right is not None or self.kind == "mcap"
        may_be_file = self.looks_right is None or self.suffixes
        if path.is_dir() and not may_be_folder:
            raise InputError(f"{path}: is a folder, and a source of kind {self.kind} is a file; give the file")
        if path.is_file() and not may_be_file:
            raise InputError(f"{path}: is a file, and a source of kind {self.kind} is a folder; give the folder")
        opener: Opener = getattr(import_module(f"vgslam.sources.{self.module}"), self.opener)
        return opener(path, options)


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: any((folder / name).exists() for name in names)


def _is_ros2_bag(folder: Path) -> bool:
    storage = any(folder.glob("*.mcap")) or any(folder.glob("*.db3"))
    return storage or ((folder / "metadata.yaml").is_file() and any(folder.glob("*.zstd")))


def _is_7scenes(folder: Path) -> bool:
    found = [p for p in folder.iterdir() if p.name.startswith("seq-") and is_folder(p)]
    return any(any(p.glob("frame-*.color.*")) for p in (folder, *found))


def _is_euroc(folder: Path) -> bool:
    is_camera = is_folder(folder / "data") and (folder / "data.csv").is_file()
    return is_camera or (folder / "mav0").exists() or (folder / "cam0/data").exists()


def _is_plain(folder: Path) -> bool:
    has_data = is_folder(folder / "data") and (folder / "timestamps.txt").is_file()
    return (folder / "images").exists() or has_data


_FORMATS = (
    Format("ros2", "bag", "open_bag", _is_ros2_bag, (".db3",)),  # .db3 and .mcap files are part of ROS 2 bags
    Format("euroc", "euroc", "open_euroc", _is_euroc),
    Format("kitti", "kitti", "open_kitti", _has("image_0", "image_1", "image_2", "image_3")),
    Format("tum", "tum", "open_tum", _has("rgb.txt", "rgb")),
    Format("7scenes", "seven_scenes", "open_7scenes", _is_7scenes),
    Format("plain", "folder", "open_plain", _is_plain),
    Format("ros1", "bag", "open_bag", None, (".bag",)),
    Format("mcap", "bag", "open_bag", None, (".mcap",)),
    Format("images", "folder", "open_images", lambda folder: bool(list_images(folder))),
    Format("video", "video", "open_video"),
)
SOURCE_KINDS: Registry[SourceKind] = Registry(
    "vgslam.sources", "source kind", {f.kind: f for f in _FORMATS}, SourceKind
)
"""What `--source` names, in the order in which they are asked whether a path is theirs; plug-ins before the last two,
which take the rest. An entry is a `SourceKind`: an object or a module."""
KINDS = tuple(SOURCE_KINDS.own)
LEFT_OVER = ("images", "video")
