"""Scores of a trajectory against a reference: the only package that imports evo, which it hands copies, and only when
it scores: evo loads scipy and matplotlib."""
