"""Which sequences `bench survival` renders."""

import pytest

from bench.survival import CASES, cases_of
from vgslam.errors import ConfigError


def test_worlds_choose_kinds_of_every_look() -> None:
    chosen = cases_of(("clutter", "hills"))
    assert {(case.world, case.look) for case in chosen} == {
        ("clutter", "plain"), ("clutter", "blurred"), ("hills", "plain"),
    }  # fmt: skip
    assert cases_of(()) == CASES


def test_an_unknown_world_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown world 'hill': known are room, corridor, clutter, street, hills"):
        cases_of(("clutter", "hill"))
