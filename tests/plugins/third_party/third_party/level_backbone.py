"""A backbone: a wall one unit away in front of a camera that stands still. Its weights name a file, into which goes
the number of images of each question."""

import numpy as np

from vgslam.network.backbone import BackboneSpec, SceneGeometry
from vgslam.network.licence import APACHE_2
from vgslam.network.preprocess import ResizeMode, preprocess
from vgslam.network.vggt import Head
from vgslam.network.weights_info import WeightsInfo


class LevelBackbone:
    def __init__(self, options, show) -> None:
        self.spec = BackboneSpec("level", 14, 0, frozenset({Head.POSE, Head.DEPTH}), descriptor_size=1)
        self.weights = WeightsInfo(options.weights, "", APACHE_2, 0, architecture="level")

    def prepare(self, images):
        return preprocess(images, ResizeMode.AREA, 112, 14)

    def max_frames(self, height_px, width_px):
        return 8

    def encode(self, images, want, mask=None):
        with open(self.weights.source, "a") as file:
            file.write(f"{len(images.images)}\n")
        return len(images.images)

    def decode(self, tokens, images, want, queries=None, known_cameras=None):
        shape = (tokens, *images.size)
        return SceneGeometry(
            np.ones((tokens, 1), np.float32), images.maps, np.tile(np.eye(4), (tokens, 1, 1)),
            depth=np.ones(shape, np.float32), depth_confidence=np.full(shape, 1.01, np.float32),
        )  # fmt: skip
