"""Tables that people see: how wide they are, and their cells."""

from rich.console import Console
from rich.markup import escape

from vgslam.guards.wording import one_line

TABLE_WIDTH = 110  # characters of a table of scores


def wide_console(least: int) -> Console:
    """Standard output with at least this many characters in a line: a table cut off in a pipe is of no use."""
    console = Console()
    console.width = max(console.width, least)
    return console


def cell(value: object) -> str:
    """A value that came from outside as text of a cell: neither control characters nor rich's markup takes effect."""
    return escape(one_line(value))
