"""Text for a person: what a file, a name or a peer has put into it cannot command the terminal."""

import re
import sys
from typing import TextIO

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (ESC among them), those that turn the direction of the text, and halves of surrogate pairs, which
file names that are not UTF-8 are made of and no terminal takes. Tab and line feed are left."""

LONGEST = 4000  # most characters of a line: names and lists in a message may be of any length


def shown(text: object) -> str:
    """The text with each harmful character written as an escape (ESC is \\x1b); lines and tabs stay."""
    return _HARMFUL.sub(_escape, str(text))


def one_line(text: object) -> str:
    """`shown`, with line ends and tabs as spaces; of a long text the beginning and the end."""
    line = shown(" ".join(str(text).splitlines()).replace("\t", " "))
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}"


def first_line(error: BaseException) -> str:
    """The first line of what an error of another library says; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def say(text: object = "", *, end: str = "\n", is_error: bool = False) -> None:
    """Prints `shown` text at once. Every line of the program goes through here, or through rich with `shown` text."""
    stream: TextIO = sys.stderr if is_error else sys.stdout
    try:
        print(shown(text), end=end, file=stream, flush=True)
    except BrokenPipeError:
        if not is_error:  # a result that nobody reads ends the program; a message that nobody reads does not
            raise


def _escape(found: re.Match[str]) -> str:
    n = ord(found[0])
    return f"\\x{n:02x}" if n < 0x100 else f"\\u{n:04x}"


def say_meanwhile(text: str) -> None:
    """Tells a person at a terminal what takes some seconds now; programs and files get no such line."""
    if sys.stderr.isatty():
        say(f"{text} ...", is_error=True)
