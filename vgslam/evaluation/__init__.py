"""Scores of a trajectory against a reference: the only package that imports evo, which it hands copies."""
