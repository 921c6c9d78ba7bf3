"""The folder that a benchmark writes its results into."""

from pathlib import Path

from vgslam.errors import OutputError


def claim_folder(folder: Path, record: str, overwrite: bool) -> None:
    """Makes the folder. OutputError where it cannot be made, or holds the file `record` already and `overwrite` is
    not given."""
    if (folder / record).exists() and not overwrite:
        raise OutputError(f"{folder} holds results already; add --overwrite or give another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error}); choose another --out") from error
