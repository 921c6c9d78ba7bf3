"""Cells of the tables that people see."""

from rich.markup import escape

from vgslam.guards.wording import one_line


def cell(value: object) -> str:
    """A value that came from outside as text of a cell: neither control characters nor rich's markup takes effect."""
    return escape(one_line(value))
