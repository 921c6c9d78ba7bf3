"""Plug-ins for the tests."""
