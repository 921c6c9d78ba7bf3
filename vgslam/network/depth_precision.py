"""What a network's depth confidence says: a deviation of log depth.

Whoever uses depth reads a confidence c as a relative deviation of UNCONFIDENT_DEVIATION / c. Networks of
`VggtConfig.depth_precision` say more: their 1 / c is the scale of a Laplace distribution, whose standard deviation is
sqrt(2) / c; it is put into the words of the others here.
"""

import math

from torch import Tensor

UNCONFIDENT_DEVIATION = 0.3
"""Relative deviation of depth with the least confidence, 1."""


def laplace_scale(confidence: Tensor, is_precision: bool) -> Tensor:
    """Scale of the Laplace distribution of the error of log depth that confidences > 1 (...) stand for; is_precision:
    `VggtConfig.depth_precision`."""
    return 1 / confidence if is_precision else UNCONFIDENT_DEVIATION / math.sqrt(2) / confidence


def common_confidence(precision: Tensor) -> Tensor:
    """The confidence (...), at least 1, that says what a `precision` (...) means."""
    return (UNCONFIDENT_DEVIATION / math.sqrt(2) * precision).clamp(min=1.0)
