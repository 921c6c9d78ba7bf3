"""The training loop, its recipes, losses and checkpoints."""
