"""A backbone as validation's predictor: its depth at the windows' own pixels, its poses about the first camera."""

import numpy as np
import pytest
import torch

from bench.backbone_guess import BackboneGuess
from vgslam.geometry import se3
from vgslam.network.backbone import SceneGeometry
from vgslam.network.da3.preprocess import preprocess
from vgslam_train.data.windows import WindowBatch

SIZE = (30, 44)


class RampBackbone:
    """Says that depth is the image's red, and that camera k is k along x in a turned world."""

    world = se3.exp(np.array([0.1, 0.2, 0.3, 1, 2, 3.0]))

    def prepare(self, images):
        return preprocess(images, 28)

    def encode(self, images, want):
        return None

    def decode(self, tokens, images, want) -> SceneGeometry:
        n = len(images.images)
        T = np.tile(np.eye(4), (n, 1, 1))
        T[:, 0, 3] = -np.arange(n)
        return SceneGeometry(np.ones((n, 1), np.float32), images.maps, T @ self.world, depth=images.images[:, 0])


def test_poses_and_depth_are_the_windows() -> None:
    ramp = torch.linspace(0, 1, SIZE[1]).expand(2, 3, 3, *SIZE)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 3, 1, 1)
    batch = WindowBatch(ramp, torch.ones(2, 3, *SIZE), poses, torch.eye(3, dtype=torch.float64).repeat(2, 1, 1))
    guess = BackboneGuess(RampBackbone())(batch)
    assert guess.depth.shape == (2, 3, *SIZE)
    assert float((guess.depth - ramp[:, :, 0]).abs().max()) < 0.06  # a network pixel is 1.6 wide
    np.testing.assert_allclose(guess.T_cam_world[1, :, 0, 3], [0, -1, -2], atol=1e-12)
    np.testing.assert_allclose(guess.T_cam_world[0, 0], np.eye(4), atol=1e-12)


def test_without_depth_there_is_nothing_to_validate() -> None:
    class PosesOnly(RampBackbone):
        def decode(self, tokens, images, want) -> SceneGeometry:
            return SceneGeometry(np.ones((1, 1), np.float32), images.maps, np.eye(4)[None])

    batch = WindowBatch(torch.zeros(1, 1, 3, *SIZE), torch.ones(1, 1, *SIZE), torch.eye(4)[None, None], torch.eye(3))
    with pytest.raises(ValueError, match="needs a network with poses and depth"):
        BackboneGuess(PosesOnly())(batch)
