"""Hyper-parameters of the relocalization adapter, typed."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vgslam.errors import ConfigError
from vgslam.guards.documents import parse_json
from vgslam.network.config import from_plain_data
from vgslam.network.frame_mask import FrameMask
from vgslam.network.lora import MOST_RANK

MOST_BANDS, MOST_HIDDEN = 64, 16384
"""An octave for each bit of a double, and four times the width of the tokens of VGGT-1B."""


class Injection(StrEnum):
    """How a pose enters. RESIDUAL: added to the camera token by a layer that starts at zero. REPLACE: as the token
    (paper)."""

    RESIDUAL = "residual"
    REPLACE = "replace"


class MaskKind(StrEnum):
    """Which frames of N attend to which in the global blocks. STAR: the paper's sparse mask. CACHEABLE: the star in
    which no database frame sees the query, so that the database is computed once for all queries. DILATED and CAUSAL
    are the paper's ablations."""

    DENSE = "dense"
    STAR = "star"
    CACHEABLE = "cacheable"
    DILATED = "dilated"
    CAUSAL = "causal"


class MatchOrder(StrEnum):
    """What a network with a matching adapter compares a frame with, besides the anchor. RETRIEVAL: the query with its
    most similar other view, a database frame with the query, or with the anchor alone where the database must not
    depend on the query. VIDEO: each frame with the one before it."""

    RETRIEVAL = "retrieval"
    VIDEO = "video"


@dataclass(frozen=True)
class RelocConfig:
    """How known poses enter the network. Raises ConfigError for values that contradict each other."""

    injection: Injection = Injection.RESIDUAL
    """How a known pose enters."""
    mask: MaskKind = MaskKind.STAR
    """Which frames attend to which in the global blocks."""
    match_order: MatchOrder = MatchOrder.RETRIEVAL
    """What a network with a matching adapter compares a frame with, besides the anchor."""
    bands_translation: int = 10
    """Octaves of the Fourier features of the translation."""
    bands_rotation: int = 4
    """Octaves of the Fourier features of the quaternion."""
    bands_fov: int = 4
    """Octaves of the Fourier features of the field of view."""
    learned_frequencies: bool = False
    """Train the frequencies as well."""
    hidden: int = 512
    """Width of the projector."""
    max_translation: float = 8.0
    """Where translations are cut off, in units of the median distance from the anchor."""
    inject_every_block: bool = False
    """Known poses are added after every frame block too (RESIDUAL only)."""
    tuned: tuple[str, ...] = ()
    """Beginnings of names of base parameters that are trained and kept with the adapter."""
    lora_rank: int = 0
    """Rank of adapters on attention and MLP layers; 0 for none."""

    def __post_init__(self) -> None:
        for name, kind in (("injection", Injection), ("mask", MaskKind), ("match_order", MatchOrder)):
            value = getattr(self, name)
            if value not in list(kind):
                raise ConfigError(f"relocalization: unknown {name} '{value}': use one of {', '.join(kind)}")
            object.__setattr__(self, name, kind(value))
        bands = (self.bands_translation, self.bands_rotation, self.bands_fov)
        if min(*bands, self.hidden) < 1 or not 0 <= self.lora_rank <= MOST_RANK:
            raise ConfigError("relocalization: bands and hidden must be positive, lora_rank not negative")
        if max(bands) > MOST_BANDS or self.hidden > MOST_HIDDEN:
            raise ConfigError(f"relocalization: at most {MOST_BANDS} bands and a width of {MOST_HIDDEN}")
        if not self.max_translation > 0:
            raise ConfigError("relocalization: max_translation must be positive")
        if self.inject_every_block and self.injection is Injection.REPLACE:
            raise ConfigError("relocalization: inject_every_block needs residual injection")
        if self.tuned and self.lora_rank:
            raise ConfigError("relocalization: base parameters are either tuned or adapted (lora_rank), not both")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "RelocConfig":
        """The inverse of `to_json`; ConfigError for an unknown field, DocumentError for what is no JSON."""
        config: RelocConfig = from_plain_data(RelocConfig, parse_json(text), what="relocalization")
        return config


def frame_mask(kind: MaskKind, n: int) -> FrameMask:
    """The mask of the global blocks for n frames, anchor first, query last."""
    if kind is MaskKind.CACHEABLE:
        allow = FrameMask.star(n).allow.copy()
        allow[:-1, -1] = False
        return FrameMask(allow)
    makers = {
        MaskKind.DENSE: FrameMask.dense, MaskKind.STAR: FrameMask.star, MaskKind.DILATED: FrameMask.dilated,
        MaskKind.CAUSAL: FrameMask.causal,
    }  # fmt: skip
    return makers[kind](n)


def head_mask(kind: MaskKind, n: int) -> FrameMask | None:
    """The mask among camera tokens in the camera head: None, except that a cacheable database does not see the
    query."""
    if kind is not MaskKind.CACHEABLE:
        return None
    allow = np.ones((n, n), bool)
    allow[:-1, -1] = False
    return FrameMask(allow)
