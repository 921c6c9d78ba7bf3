"""Camera faults: each does what it says, and nothing at strength 0."""

import numpy as np
import pytest
import torch

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.imaging import Imaging, blur

CAMERA = Camera.from_fov(80, 60, 70.0)


def plain(n=2, **faults):
    return Imaging(np.ones(n), np.ones((n, 3)), **faults)


def test_strength_zero_is_an_ideal_camera():
    images = torch.rand(3, 60, 80, 3)
    out = Imaging.draw(3, 30.0, 5, strength=0.0).apply(images, CAMERA, 0)
    torch.testing.assert_close(out, images)


def test_exposure_and_white_balance_scale():
    faults = Imaging(np.array([1.0, 1.5]), np.array([[1.0, 1.0, 1.0], [1.0, 0.8, 1.2]]))
    out = faults.apply(torch.full((2, 60, 80, 3), 0.4), CAMERA, 0)
    torch.testing.assert_close(out[0], torch.full((60, 80, 3), 0.4))
    torch.testing.assert_close(out[1, 30, 40], torch.tensor([0.6, 0.48, 0.72]))


def test_vignetting_darkens_the_corner_by_its_share():
    out = plain(1, vignetting=0.3).apply(torch.ones(1, 60, 80, 3), CAMERA, 0)[0, :, :, 0]
    assert out[30, 40] == pytest.approx(1.0, abs=1e-3)
    assert out[0, 0] == pytest.approx(0.7, abs=0.01)
    torch.testing.assert_close(out, out.flip(0, 1))


def test_noise_has_its_deviation_and_repeats():
    images = torch.full((2, 60, 80, 3), 0.5)
    faults = plain(noise=(0.02, 0.01))
    a, b, c = (faults.apply(images, CAMERA, seed) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert float((a - images).std()) == pytest.approx((0.02**2 * 0.5 + 0.01**2) ** 0.5, rel=0.05)
    assert abs(float((a - images).mean())) < 5e-4


def test_blur_of_a_point_is_the_gaussian():
    image = torch.zeros(1, 41, 41, 1)
    image[0, 20, 20] = 1.0
    out = blur(image, 1.5)[0, :, :, 0]
    x = torch.arange(41.0) - 20
    spread = (out.sum(0) * x**2).sum()
    assert float(out.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(spread) == pytest.approx(1.5**2, rel=0.05)
    torch.testing.assert_close(out, out.T)


def test_gamma_is_an_exponent():
    out = plain(1, gamma=2.0).apply(torch.full((1, 60, 80, 3), 0.5), CAMERA, 0)
    torch.testing.assert_close(out, torch.full((1, 60, 80, 3), 0.25))


def test_drawn_faults_vary_with_the_seed_and_drift_smoothly():
    a, b = Imaging.draw(100, 30.0, 1), Imaging.draw(100, 30.0, 2)
    assert not np.array_equal(a.exposure, b.exposure)
    for faults in (a, b):
        assert np.abs(np.diff(np.log(faults.exposure))).max() < 0.05
        assert 0.4 < faults.exposure.min() < faults.exposure.max() < 2.0
