"""Codes of places and their index, loops, and relocalization of a lost camera."""
