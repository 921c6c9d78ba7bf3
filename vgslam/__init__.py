"""Monocular SLAM: camera poses for every frame of a video, dense depth and a map.

The names of `__all__` are the public interface; each is imported when it is first used, so `import vgslam` is
quick. docs/api.md describes them and the types that they return.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgslam.geometry.camera import Camera
    from vgslam.localizer import Localizer
    from vgslam.session.self_calibration import estimate_camera
    from vgslam.slam import Slam
    from vgslam.sources.open import open_source

__all__ = ["Camera", "Localizer", "Slam", "__version__", "estimate_camera", "open_source"]
__version__ = "0.1.0"

_MODULES = {
    "Camera": "vgslam.geometry.camera", "Localizer": "vgslam.localizer", "Slam": "vgslam.slam",
    "estimate_camera": "vgslam.session.self_calibration", "open_source": "vgslam.sources.open",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name, imported on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'vgslam' has no attribute '{name}'")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
