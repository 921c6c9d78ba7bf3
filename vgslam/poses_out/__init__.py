"""Poses sent out during a run: as lines of JSON on standard output or a socket, and to ROS 2."""
