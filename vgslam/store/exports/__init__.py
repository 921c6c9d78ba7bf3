"""Exports of a map to the formats of other programs."""
