"""Rotations, rigid motions, similarities, cameras, alignment: mathematics without a map."""
