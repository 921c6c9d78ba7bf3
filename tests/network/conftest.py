"""The small network that the tests of this folder share."""

from golden import fresh_model, golden_tool, images, manifest, model, one_thread, queries

__all__ = ["fresh_model", "golden_tool", "images", "manifest", "model", "one_thread", "queries"]
