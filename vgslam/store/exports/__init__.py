"""A map as files of other programs."""
