"""matplotlib's own help texts are left out where a run loads it, and nowhere else."""

import subprocess
import sys


def in_new_process(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_help_texts_are_left_out():
    program = """
from vgslam.viewer import library
library.load()
from matplotlib import artist
from matplotlib.lines import Line2D
print("solid_capstyle" in artist.kwdoc(Line2D), "solid_capstyle" in Line2D.set.__doc__)
print(Line2D([0], [0], linewidth=3).get_linewidth())
"""
    assert in_new_process(program).split() == ["True", "False", "3.0"]
    assert in_new_process(program.replace("library.load()", "")).split()[1] == "True"


def test_those_of_what_is_loaded_later_are_there():
    program = """
from vgslam.viewer import library
library.load()
from matplotlib import artist
class Own(artist.Artist):
    def set_thing(self, thing):
        "thing : float"
print("thing" in Own.set.__doc__)
"""
    assert in_new_process(program).strip() == "True"
