"""Where a network helps the geometry: the switches, the protocol, and a network's depth in the map's units.

The skeleton (features, triangulation, bundle adjustment) stays in charge. A guide is asked only at the points below and
may always answer None; with every switch off, the result is that without a guide.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vgslam.types import Array, Camera, Float32, Ids, Image, WindowInput, WindowPrediction

REL_SIGMA_UNCONFIDENT, LEAST_REL_SIGMA = 0.3, 0.03
"""Relative deviation of a network's depth where its confidence is 0, and the least however confident it is."""
MAX_LOG_SPREAD = 0.3
"""Largest robust deviation of the logarithm of (known depth / predicted): beyond it the two see different scenes."""
MIN_COMMON = 20
"""Least landmarks of known depth that are asked for that; with fewer, guessed ones give the scale as well."""
LEAST_SHARE = 0.2
"""Share of a window's depth, the least confident, that is left out whatever the network thinks of itself."""
SURE_DEPTH_REL_SIGMA = 0.15
"""Relative deviation up to which a network's depth counts as sure: half of what it has where it knows nothing."""
SURE_REL_SIGMA = 0.4
"""Relative deviation of depth below which a landmark counts as known: below that of a guess."""


@dataclass(frozen=True)
class VggtUse:
    """What the network is used for.

    With a stand-in that has a network's errors (docs/bench/model_uses.md), on and off: initialise, map begun at frame 1
    and 8; corner_depth, median error 3 and 10 %; motion_guess, 8 and 2 of 8 fast turns kept; hold_scale, scale within
    6 % and 37 to 105 %.
    """

    initialise: bool = False
    """A component starts with its second frame instead of waiting for parallax: more frames of fast motion survive
    (docs/bench/survival.md), but trajectories are less exact (docs/bench/predictors.md)."""
    corner_depth: bool = False
    """New corners get the network's depth instead of their neighbours'; what the small network gets wrong there stays
    in the trajectory (docs/bench/predictors.md)."""
    motion_guess: bool = True
    """When tracking fails, features are looked for once more where the network's motion says, with their patches turned
    as it says, before the frame counts as lost."""
    hold_scale: bool = True
    """The network's depth is a weak prior in bundle adjustment: triangulated landmarks hardly feel it, and where
    translation cannot be observed it is all there is."""
    dense_depth: bool = True
    """Every keyframe gets the network's depth and confidence; the plane sweep is left out."""
    descriptors: bool = False
    """Places are recognised by the network's descriptors instead of local features, which is worse so far
    (docs/bench/places.md)."""

    @property
    def needs_depth(self) -> bool:
        """Whether the network has to see the window of every keyframe."""
        return self.corner_depth or self.hold_scale or self.dense_depth


class Guide(Protocol):
    """A network beside the geometry of feature tracks. It answers every question; `use` says which are asked;
    `notes` what a user of its answers should know, a line each."""

    use: VggtUse
    notes: list[str]

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        """Poses and depth of a window without using its tracks or the map's poses; None when it cannot say."""
        ...

    def start(self, window: WindowInput) -> WindowPrediction | None:
        """Geometry of a window without poses, refined by its tracks, parallax or not."""
        ...

    def descriptor(self, frame_id: int, image: Image) -> Float32:
        """Unit vector (D,) of one image; a scalar product tells how alike two images are."""
        ...


def rel_sigma_of(confidence: Float32) -> Array:
    """Relative depth deviation for confidence in [0,1]: 0.3 (1 - confidence), at least 0.03.

    Under the loss c |error| - alpha log c that such networks are trained with (Kendall and Gal, NeurIPS 2017; Wang et
    al., VGGT, CVPR 2025, section 3.4) the expected error is proportional to 1/c, and confidence is 1 - 1/c.
    """
    return np.maximum(REL_SIGMA_UNCONFIDENT * (1.0 - confidence.astype(np.float64)), LEAST_REL_SIGMA)


@dataclass(frozen=True)
class GuidedDepth:
    """A window's dense depth in the map's units."""

    prediction: WindowPrediction
    keyframe_ids: Ids
    """(N,): the window's."""
    scale: float
    """World units per window unit."""
    camera: Camera
    """The camera of the full images."""
    min_confidence: float

    def at(self, n: Ids, pixels: Array) -> tuple[Array, Array]:
        """Depth in world units (NaN: not known) and its relative deviation at pixels (M,2) of window images n (M,)."""
        depth, confidence = _sample(self.prediction, self.camera, n, pixels)
        known = (depth > 0) & (confidence > self.min_confidence)
        return np.where(known, depth * self.scale, np.nan), rel_sigma_of(confidence)

    def of_keyframe(self, k: int, pixels: Array) -> tuple[Array, Array]:
        """The same at pixels (M,2) of keyframe k of the window."""
        n = int(np.searchsorted(self.keyframe_ids, k))
        return self.at(np.full(len(pixels), n), pixels)


def fused_depth(guess: tuple[Array, Array], predicted: tuple[Array, Array]) -> tuple[Array, Array]:
    """Depth (M,) and relative deviation (M,) from the neighbours' and a network's, each (depth, deviation).

    The logarithms are weighted by their inverse variances. A network that is sure (SURE_DEPTH_REL_SIGMA) gives its own
    deviation; one that is not errs alike over parts of an image, which the deviation of a pixel does not tell, and the
    larger of both stays. Where the network's depth is NaN the guess stays.
    """
    (z, sigma), (z_net, sigma_net) = guess, predicted
    is_known = np.isfinite(z_net)
    weight = sigma**2 / (sigma**2 + sigma_net**2)
    fused = np.exp((1 - weight) * np.log(z) + weight * np.log(np.where(is_known, z_net, z)))
    joint = np.where(sigma_net <= SURE_DEPTH_REL_SIGMA, np.minimum(sigma, sigma_net), np.maximum(sigma, sigma_net))
    return np.where(is_known, fused, z), np.where(is_known, joint, sigma)


def confidence_gate(prediction: WindowPrediction, min_confidence: float) -> float:
    """Confidence above which a network's depth is used: min_confidence, or less where so little of the window reaches
    it that the least confident LEAST_SHARE would not be all that is left out (small networks are never sure)."""
    return min(min_confidence, float(np.quantile(prediction.confidence[:, ::4, ::4], LEAST_SHARE)))


def _sample(prediction: WindowPrediction, camera: Camera, n: Ids, pixels: Array) -> tuple[Array, Float32]:
    v, u = camera.cell_at(pixels, prediction.depth.shape[1:])
    return prediction.depth[n, v, u].astype(np.float64), prediction.confidence[n, v, u]


@dataclass(frozen=True)
class KnownDepth:
    """Depths z (M,) in world units that the map has at pixels (M,2) of window images n (M,), with rel_sigma (M,)."""

    n: Ids
    pixels: Array
    z: Array
    rel_sigma: Array


def guided_depth(
    prediction: WindowPrediction, keyframe_ids: Ids, known: KnownDepth, camera: Camera, min_confidence: float
) -> GuidedDepth | None:
    """Scale a prediction to the map by the median ratio of depths; None if the two contradict each other.

    Landmarks whose depth is known decide; where there are too few of them, guessed ones give the scale. The robust
    spread of the log ratios of known depths must stay below 0.3: a network that sees another scene than the features
    do is not listened to.
    """
    min_confidence = confidence_gate(prediction, min_confidence)
    predicted, confidence = _sample(prediction, camera, known.n, known.pixels)
    usable = (predicted > 0) & (known.z > 1e-6) & (confidence > min_confidence)
    sure = usable & (known.rel_sigma < SURE_REL_SIGMA)
    is_sure = sure.sum() >= MIN_COMMON
    chosen = sure if is_sure else usable
    if not chosen.any():
        return None
    log_ratio = np.log(known.z[chosen] / predicted[chosen])
    middle = float(np.median(log_ratio))
    if is_sure and 1.48 * float(np.median(np.abs(log_ratio - middle))) > MAX_LOG_SPREAD:
        return None
    return GuidedDepth(prediction, keyframe_ids, float(np.exp(middle)), camera, min_confidence)
