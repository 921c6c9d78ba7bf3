"""The writing in a plot. Names come from outside: their characters are drawn as they are, or boxes in their place."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

LAST_RESORT = "Last Resort"  # begins the name of the font whose glyphs for all characters are boxes
LIGHTEST, HEAVIEST = 300, 500  # weights of fonts, neither thin nor bold; 400 is regular
REPLACEMENT = "\ufffd"
_NO_CHARACTER = re.compile("[\ud800-\udfff]")  # what Python makes of a file name's bytes that are not UTF-8


@contextmanager
def plain_writing(figure: Figure) -> Iterator[None]:
    """Within the block the figure is drawn without mathematics in its texts ($...$), with fonts that have their
    characters where some are installed, and without a warning for those that no font has."""
    for text in _texts(figure):
        text.set_parse_math(False)
        text.set_text(_NO_CHARACTER.sub(REPLACEMENT, text.get_text()))
        further = fonts_for(text.get_text())
        if further:
            text.set_fontfamily([*text.get_fontfamily(), *further])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        yield


def _texts(figure: Figure) -> Iterator[Text]:
    """All that is written in a figure but the numbers at the ticks, which are ours and are made only when drawn."""
    yield from figure.texts
    for axes in figure.axes:
        yield axes.xaxis.label
        yield axes.yaxis.label
        for artist in axes.get_children():
            if isinstance(artist, Text):
                yield artist
            elif isinstance(artist, Legend):
                yield artist.get_title()
                yield from artist.get_texts()


def fonts_for(words: str) -> tuple[str, ...]:
    """Names of the installed fonts that have what the usual font lacks of some words; the same for the same words."""
    usual = _characters(font_manager.findfont(font_manager.FontProperties()))
    return _fonts_with(frozenset(map(ord, words)) - usual - {ord("\n")})


@cache
def _fonts_with(wanted: frozenset[int]) -> tuple[str, ...]:
    """Each time the font with the most of the characters that are still wanted."""
    chosen: list[str] = []
    while wanted:
        name, found = max(((n, wanted & has) for n, has in _installed().items()), key=lambda row: len(row[1]))
        if not found:
            break
        chosen.append(name)
        wanted -= found
    return tuple(chosen)


@cache
def _installed() -> dict[str, frozenset[int]]:
    """Characters of the upright fonts of usual weight, by name, in alphabetical order."""
    files = {
        font.name: font.fname
        for font in sorted(font_manager.fontManager.ttflist, key=lambda f: (f.name, f.fname))
        if isinstance(font.weight, int) and LIGHTEST <= font.weight <= HEAVIEST and font.style == "normal"
        and not font.name.startswith(LAST_RESORT)
        and not getattr(font, "index", 0)  # the first font of a file stands for the others in it
    }  # fmt: skip
    return {name: _characters(file) for name, file in files.items()}


@cache
def _characters(file: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(file).get_charmap())
    except (OSError, RuntimeError):  # a file that has gone, or is no font
        return frozenset()
