"""Keyframes that follow one another show nearly the same, and count as one."""

GAP = 2
"""Keyframes this near in their order are neighbours: they show nearly the same."""


def spaced(ids: list[int], n: int, gap: int = GAP) -> list[int]:
    """The first n of ids that are more than `gap` apart from those taken before them."""
    taken: list[int] = []
    for k in ids:
        if len(taken) == n:
            break
        if all(abs(k - j) > gap for j in taken):
            taken.append(k)
    return taken
