"""Whether torch is there: the package tracks, maps and relocalizes without it, and networks need it."""

from importlib.util import find_spec

from vgslam.errors import MissingDependencyError

HOW_TO_INSTALL = (
    "pip install torch --index-url https://download.pytorch.org/whl/cpu (leave the index out for a GPU), "
    "then pip install 'vgslam[network]'"
)


def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return is_installed("torch")


def require_torch(what: str) -> None:
    """Raises MissingDependencyError where torch, or what else networks need, is not installed. what: who needs it."""
    missing = [name for name in ("torch", "huggingface_hub") if not is_installed(name)]
    if missing:
        raise MissingDependencyError(f"{what} needs {' and '.join(missing)}: {HOW_TO_INSTALL}")


def is_installed(name: str) -> bool:
    """Whether a module can be found; it is not loaded."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # made unimportable
        return False
