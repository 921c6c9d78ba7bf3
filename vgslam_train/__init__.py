"""Trains the networks of vgslam: rendered worlds, the data that is made of them, validation, training."""
