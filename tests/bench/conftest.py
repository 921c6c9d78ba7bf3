"""The small network that the measurements are tried on."""

from golden import golden_tool, images, model

__all__ = ["golden_tool", "images", "model"]
