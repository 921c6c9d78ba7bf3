"""One run: its settings, camera, map, network and adaptation, from start to end."""
