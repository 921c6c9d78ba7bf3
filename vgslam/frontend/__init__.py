"""Tracking, mapping, how a component of the map begins, and the predictors that are asked for geometry."""
