"""The renderer: procedural worlds with exact truth."""
