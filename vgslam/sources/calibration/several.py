"""Calibration files that hold several cameras: FILE#NAME, and the one that is taken without a name."""

from collections.abc import Mapping
from pathlib import Path

from vgslam.sources.calibration.fit import is_same_aspect
from vgslam.sources.calibration.stated import Size

MOST_LISTED = 6
"""So many cameras are named in a line."""


def split_name(path: Path) -> tuple[Path, str | None]:
    """FILE and NAME of FILE#NAME, where NAME says which camera of the file is meant; (path, None) where there is no
    NAME, or the file itself is called so."""
    text = str(path)
    places = [i for i, letter in enumerate(text) if letter == "#" and 0 < i < len(text) - 1]
    if not places or path.exists():
        return path, None
    at = next((i for i in places if Path(text[:i]).is_file()), places[0])
    return Path(text[:at]), text[at + 1 :]


def choose(
    held: Mapping[str, Size | None], wanted: str | None, image: Size | None, is_first_taken: bool = True
) -> str:  # fmt: skip
    """The name of one of several cameras, which are given with the sizes of their images as far as the file has them.

    Without a wanted one the first that is for images of that size, else of that aspect or without a size. Raises
    ValueError where there is none; with is_first_taken false also where several are.
    """
    if wanted is not None:
        found = [name for name in held if name.casefold() == wanted.casefold()]
        if not found:
            raise ValueError(f"has no camera '{wanted}'; its cameras: {listed(held)}")
        return found[0]
    fitting = _fitting(held, image)
    if not fitting and image is not None:
        raise ValueError(f"none of its cameras is for images of {image[0]}x{image[1]}: {listed(held)}")
    if len(fitting) > 1 and not is_first_taken:
        raise ValueError(f"has {len(held)} different cameras ({listed(held)}); name one, as in FILE#{fitting[0]}")
    return fitting[0]


def note(held: Mapping[str, Size | None], taken: str) -> str:
    """A line that says which camera is used, and how to have another."""
    others = {name: size for name, size in held.items() if name != taken}
    return (f"calibration: camera {_with_size(taken, held[taken])} is used, not {listed(others)}; "
            f"FILE#{next(iter(others))} takes another")  # fmt: skip


def listed(held: Mapping[str, Size | None]) -> str:
    """The cameras in words."""
    words = [_with_size(name, size) for name, size in list(held.items())[:MOST_LISTED]]
    more = len(held) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _with_size(name: str, size: Size | None) -> str:
    return name if size is None else f"{name} ({size[0]}x{size[1]})"


def _fitting(held: Mapping[str, Size | None], image: Size | None) -> list[str]:
    if image is None:
        return list(held)
    exact = [name for name, size in held.items() if size == image]
    return exact or [name for name, size in held.items() if size is None or is_same_aspect(size, image)]
