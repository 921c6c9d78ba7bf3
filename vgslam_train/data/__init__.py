"""What a lesson is made of: clips on disk, windows of frames, their truth."""
