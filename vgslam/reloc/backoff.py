"""Costly attempts, made less often while they fail."""

MOST_SKIPPED = 32
"""Most attempts that are left out after one that failed."""


class Backoff:
    """After each attempt that failed, twice as many are left out, up to `most_skipped`; 0 leaves none out."""

    def __init__(self, most_skipped: int = MOST_SKIPPED) -> None:
        self.most_skipped = most_skipped
        self._wait, self._skipped = 0, 0

    def is_due(self) -> bool:
        """Whether to make an attempt now. Each question counts as one attempt, made or left out."""
        if self._skipped < self._wait:
            self._skipped += 1
            return False
        return True

    def ended(self, has_helped: bool) -> None:
        """An attempt was made. After one that helped, the next is made at once."""
        self._wait, self._skipped = 0 if has_helped else min(max(1, 2 * self._wait), self.most_skipped), 0
