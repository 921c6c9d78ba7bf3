"""What is told of maps that one place alone ties, by hand."""

from dataclasses import replace
from pathlib import Path

from fleet.said import said, turned

from vgslam.fleet.bridges import Doubt, between_groups, told_of_two
from vgslam.fleet.ties import Tie

MAPS = [Path(f"m{i}") for i in range(7)]


def ties(*pairs: tuple[int, int], degrees: float = 0.0) -> list[Tie]:
    """Ties of keyframes a and b, which say the same; those of one ten of a show one place."""
    return [replace(said(turned(degrees), a=a), b=b) for a, b in pairs]


def test_the_first_and_the_last_keyframe_of_each_map_are_told() -> None:
    found = Doubt.of(4, 2, ties((3, 70), (1, 90), (2, 80)))
    assert found == Doubt(4, 2, (1, 3), (70, 90), 3)
    assert found.where(MAPS) == "keyframes 1 to 3 of m4, 70 to 90 of m2"


def test_of_two_groups_the_doubt_with_most_ties_is_told_whichever_way_it_goes() -> None:
    few, more, most = (Doubt(a, b, (0, 1), (0, 1), n) for a, b, n in ((0, 3, 2), (4, 1, 4), (1, 4, 7)))
    assert between_groups([few, more, most], [[0, 1], [3, 4]]) == [most]
    assert between_groups([few, more], [[0, 1], [3, 4]]) == [more]
    alone = [Doubt(5, 6, (0, 1), (0, 1), 2), Doubt(6, 0, (0, 1), (0, 1), 3)]
    assert between_groups(alone, [[0, 1], [3, 4]]) == [alone[1], alone[0]], "maps in no group are each one of their own"
    assert between_groups([Doubt(0, 1, (0, 1), (0, 1), 9)], [[0, 1]]) == []


def test_nothing_is_told_where_ties_of_one_pair_of_parts_are_enough() -> None:
    """Those of other parts need not be."""
    enough, one_place = ties((0, 0), (1, 1), (10, 10), (11, 11)), ties((0, 0), (1, 1))
    assert told_of_two((MAPS[0], MAPS[1]), enough) == ""
    elsewhere = [replace(tie, part_b=1) for tie in one_place]
    assert told_of_two((MAPS[0], MAPS[1]), [*enough, *elsewhere]) == ""
    assert told_of_two((MAPS[0], MAPS[1]), [*elsewhere, *enough]) == ""


def test_the_place_that_most_ties_agree_on_is_told() -> None:
    few = [replace(tie, part_b=1) for tie in ties((5, 55), (6, 56), degrees=90.0)]
    many = ties((0, 40), (1, 41), (2, 42))
    for some in ([*few, *many], [*many, *few]):
        assert "(keyframes 0 to 2 of m0, 40 to 42 of m1)" in told_of_two((MAPS[0], MAPS[1]), some)
