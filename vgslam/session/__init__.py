"""One run: its settings, camera, map, network and adaptation, from the first frame to the last word."""
