"""matplotlib, loaded without the help texts that it writes for each of its classes: nobody reads them in a run."""

import sys


def load() -> None:
    """Load what plots need of it, in three quarters of the time. What others load later has its texts."""
    if "matplotlib.figure" in sys.modules:
        return
    from matplotlib import artist

    written = artist.kwdoc
    artist.kwdoc = _nothing
    try:
        import matplotlib.figure  # noqa: F401
    finally:
        artist.kwdoc = written


def _nothing(artist: object) -> str:
    return ""
