"""evo, which is GPL-3.0 and so an extra: without it runs work, and scoring says what to install."""

from vgslam.errors import MissingDependencyError


def require_evo() -> None:
    """Raises MissingDependencyError where evo cannot be imported."""
    try:
        import evo.core.metrics  # noqa: F401
    except ImportError as error:
        why = str(error).splitlines()[0]
        raise MissingDependencyError(f"scoring needs evo (GPL-3.0): pip install 'vgslam[eval]' ({why})") from error
