"""What a network's depth confidence c says: a relative deviation of UNCONFIDENT_DEVIATION / c.

For networks of `VggtConfig.depth_precision` 1 / c is the scale of a Laplace distribution of log depth, whose deviation
is sqrt(2) / c; here that is put into the words of the others.
"""

import math

from torch import Tensor

UNCONFIDENT_DEVIATION = 0.3
"""Relative deviation of depth with the least confidence, 1."""


def laplace_scale(confidence: Tensor, is_precision: bool) -> Tensor:
    """Laplace scale of the error of log depth for confidences > 1 (...); is_precision: `VggtConfig.depth_precision`."""
    return 1 / confidence if is_precision else UNCONFIDENT_DEVIATION / math.sqrt(2) / confidence


def common_confidence(precision: Tensor) -> Tensor:
    """The confidence (...), at least 1, that says what a `precision` (...) means."""
    return (UNCONFIDENT_DEVIATION / math.sqrt(2) * precision).clamp(min=1.0)
