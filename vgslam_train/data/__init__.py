"""Training data: clips on disk, windows of frames, their truth."""
