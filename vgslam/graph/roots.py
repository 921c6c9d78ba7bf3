"""Sets of numbered things that are joined, one after another (union-find)."""


class Roots:
    """Sets of nodes that are joined."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def of(self, n: int) -> int:
        """What all nodes that are joined have in common."""
        self._parent.setdefault(n, n)
        while self._parent[n] != n:
            self._parent[n] = self._parent[self._parent[n]]
            n = self._parent[n]
        return n

    def join(self, a: int, b: int) -> bool:
        """Joins two nodes; whether they were not joined before."""
        ra, rb = self.of(a), self.of(b)
        self._parent[rb] = ra
        return ra != rb
