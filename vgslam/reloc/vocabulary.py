"""The looks of an image in 2048 bits: aggregated local features.

VLAD (Jégou et al., CVPR 2010, section 3) over 32 words of RootSIFT descriptors reduced to 64 dimensions by PCA, each
word's residual normalised on its own (Arandjelovic and Zisserman, CVPR 2013, section 3.1), then one bit a dimension:
above or below its median. Hamming distance between such codes orders images as the cosine of the vectors does.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from vgslam.types import Float32

Bits = npt.NDArray[np.uint8]
N_BITS = 2048


@dataclass(frozen=True)
class Vocabulary:
    """What aggregates an image's descriptors into one vector."""

    mean: Float32
    """(128,): mean of the descriptors."""
    projection: Float32
    """(128,D) of the descriptors."""
    centres: Float32
    """(K,D) of the words."""
    middle: Float32
    """(K*D,): median of each dimension of the aggregated vector."""

    def aggregate(self, descriptors: Float32) -> Float32:
        """Aggregated vector (K*D,) of N descriptors (N,128), each word's part of unit length or zero."""
        total = np.zeros_like(self.centres)
        if len(descriptors):
            d = (descriptors - self.mean) @ self.projection
            word = (d @ self.centres.T - 0.5 * (self.centres**2).sum(1)).argmax(1)
            np.add.at(total, word, d - self.centres[word])
        total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-6
        return total.reshape(-1)

    def bits(self, descriptors: Float32) -> Bits:
        """Code (256,) uint8 of an image with descriptors (N,128)."""
        return np.packbits(self.aggregate(descriptors) > self.middle)


PATCHES = b"half size"
"""What the descriptors are made from (`frontend/matching.py`): codes of maps made from others are made anew."""


@cache
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary of the package, learned on rendered worlds by tools/make_vocabulary.py."""
    with resources.as_file(resources.files("vgslam") / "assets" / "places.npz") as path, np.load(path) as z:
        return Vocabulary(z["mean"], z["projection"], z["centres"], z["middle"])


@cache
def shipped_vocabulary_id() -> bytes:
    """8 bytes that change with the shipped vocabulary and with the descriptors that it is given."""
    data = resources.files("vgslam").joinpath("assets", "places.npz").read_bytes()
    return hashlib.sha256(data + PATCHES).digest()[:8]
