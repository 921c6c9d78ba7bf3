"""A network's stated deviation of depth reaches whoever uses the depth unchanged."""

import math

import numpy as np
import torch

from vgslam.frontend.guide import LEAST_REL_SIGMA, REL_SIGMA_UNCONFIDENT, rel_sigma_of
from vgslam.frontend.network_guide import confidence_from_network
from vgslam.network.depth_precision import UNCONFIDENT_DEVIATION, common_confidence, laplace_scale


def read(confidence: torch.Tensor) -> np.ndarray:
    return rel_sigma_of(confidence_from_network(confidence.numpy()))


def test_a_stated_deviation_is_the_one_that_is_read() -> None:
    """Laplace of scale b: standard deviation sqrt(2) b, between the reader's least and largest."""
    b = torch.tensor([0.03, 0.05, 0.1, 0.2])
    np.testing.assert_allclose(read(common_confidence(1 / b)), math.sqrt(2) * b, rtol=1e-5)
    assert read(common_confidence(torch.tensor([1.0, 1e4]))).tolist() == [REL_SIGMA_UNCONFIDENT, LEAST_REL_SIGMA]


def test_scales_of_both_kinds_of_networks() -> None:
    assert UNCONFIDENT_DEVIATION == REL_SIGMA_UNCONFIDENT
    c = torch.tensor([1.0, 2.0, 5.0])
    np.testing.assert_allclose(math.sqrt(2) * laplace_scale(c, False), read(c), rtol=1e-6)
    assert laplace_scale(c, True).tolist() == [1.0, 0.5, np.float32(0.2)]
