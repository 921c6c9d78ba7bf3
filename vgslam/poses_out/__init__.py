"""Poses handed out while a run goes on: as lines of JSON on standard output or a socket, and to ROS 2."""
