"""Scores of a trajectory against a reference: ATE, RPE, coverage.

evo gets copies, and is imported where something is scored: it loads scipy and matplotlib.
"""
