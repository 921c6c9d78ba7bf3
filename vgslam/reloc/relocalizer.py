"""The pose of an image in a map, without any guess of it.

Keyframes that look alike (references) give hypotheses of the pose, by several methods. Each has to find the map's
landmarks again where it says that they are. Those that agree are taken together (`hypotheses.Agreement`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import FeatureConfig, Gray
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.matching import ImageFeatures, describe, match
from vgslam.frontend.tracker import View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.asked_proposer import AskedProposer
from vgslam.reloc.epipolar_check import MIN_MATCHES, Matched, Support, epipolar_agreement, speaks_against, speaks_for
from vgslam.reloc.guessed_depth import is_guessed
from vgslam.reloc.hypotheses import Agreement, Hypothesis
from vgslam.reloc.localization import Localization
from vgslam.reloc.locate import Locator, Recovered, Target, epipolar_inliers, epipolar_matches
from vgslam.reloc.nearby import N_CONFIRMING
from vgslam.reloc.places import Places
from vgslam.reloc.proposal import PoseProposer, References
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Array

PNP = "pnp"
N_CONTRADICTING = 4
"""Newest keyframes whose matches may contradict a pose that rests on few landmarks."""
KEPT_FEATURES = 64
"""Keyframes whose features stay in memory, some 0.6 MB each."""


@dataclass(frozen=True)
class _Query:
    """An image that is looked for."""

    view: View
    target: Target
    features: ImageFeatures


class Relocalizer:
    """Finds images in `slam_map`."""

    def __init__(
        self, slam_map: SlamMap, places: Places, features: FeatureConfig, config: RelocalizerConfig | None = None,
        proposer: PoseProposer | None = None, mask: ImageMask | None = None,
    ) -> None:  # fmt: skip
        """proposer: a network that proposes poses as well."""
        self.map, self.places, self.proposer = slam_map, places, proposer
        self.config = config or RelocalizerConfig()
        self.locator = Locator(slam_map, self.config.locate, features)
        self.agreement = Agreement(self.locator, self.config)
        self._features: dict[int, ImageFeatures] = {}
        self.support = Support()
        """The inliers of the last poses that were believed."""
        self.mask = mask
        """Where images of its size carry no features; None where they may everywhere."""
        self.saw_something = False
        """Whether the last view had enough features to be found by."""

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration: the keyframes' images have changed."""
        self._features = {}
        self.places.forget_features()

    def take_places(self, places: Places) -> None:
        """Go on with the places of a map that was made anew."""
        self._features, self.places = {}, places

    def accepts(self, answer: Localization | None) -> bool:
        """Whether an answer may be used."""
        if answer is None or answer.is_ambiguous or answer.trust < self.config.min_trust:
            return False
        return not is_guessed(self.map, answer.ids, answer.component_id)

    def locate(self, view: View, camera: Camera, n_recent: int = 0) -> Localization | None:
        """The best answer for a view, accepted or not; None if no hypothesis stands. n_recent: last keyframes that are
        tried first; an answer from there that is accepted ends the search, as where the camera was a moment ago it
        probably is."""
        if not self.map.keyframes:
            return None
        query = self._query(view, camera)
        self.saw_something = len(query.features.pixels) >= self.config.locate.min_inliers
        if not self.saw_something:
            return None
        n = len(self.map.keyframes)
        recent = list(range(n - 1, max(-1, n - 1 - n_recent), -1))
        near = self._by_matches(query, recent)
        answer = self.agreement.best_place(near, camera)
        if self.accepts(answer):
            return answer
        references = [k for k in self.references(view) if k not in recent]
        hypotheses = near + self._by_matches(query, references)
        answer = self.agreement.best_place(hypotheses, camera)
        if self.proposer is not None and references and not self.accepts(answer):
            answer = self.agreement.best_place(hypotheses + self._by_network(query, references), camera)
            is_networks = answer is not None and answer.method != PNP and self.accepts(answer)
            if is_networks and isinstance(self.proposer, AskedProposer):
                self.proposer.believe()
        return answer

    def contradicts(self, view: View, camera: Camera, T_world_cam: Array, n_inliers: int, component_id: int) -> bool:
        """Whether a pose disagrees with the epipolar geometry of the view's matches with the component's newest
        keyframes. Asked only where the pose has few inliers compared with those before (`support`), else False; False
        too where too few features match to tell."""
        is_thin = self.support.is_thin(n_inliers)
        return is_thin and speaks_against(self._agreements(view, camera, T_world_cam, component_id))

    def confirms(self, view: View, camera: Camera, found: Recovered, component_id: int) -> bool:
        """Whether the landmarks of a component that were found in a view say that its pose is right. Those of guessed
        depth fit almost any pose; where there are few others, the epipolar geometry, which needs no depth, has to."""
        if not is_guessed(self.map, found.ids, component_id):
            return True
        return speaks_for(self._agreements(view, camera, found.T_world_cam, component_id))

    def _agreements(self, view: View, camera: Camera, T_world_cam: Array, component_id: int) -> list[float]:
        """The agreement of a pose with the view's matches with the component's newest keyframes, as far as there are
        enough of these."""
        features, agreements = self._described(view.gray), []
        for keyframe in [k for k in self.map.keyframes[-N_CONTRADICTING:] if k.component_id == component_id]:
            px_k, px = epipolar_matches(self._features_of(keyframe.id), features, self.config.matcher)
            if len(px) >= MIN_MATCHES:
                matched = Matched(px_k, px, keyframe.camera, camera)
                T_view_k = se3.inverse(T_world_cam) @ keyframe.S_world_keyframe.pose
                agreements.append(epipolar_agreement(matched, T_view_k))
        return agreements

    def by_method(self, view: View, camera: Camera, method: str) -> Localization | None:
        """The answer of one method alone: `pnp`, or one of the proposer's. None if it has none."""
        query = self._query(view, camera)
        references = self.references(view)
        if method == PNP:
            return self.agreement.best_place(self._by_matches(query, references), camera)
        return self.agreement.best_place([h for h in self._by_network(query, references) if h.method == method], camera)

    def _query(self, view: View, camera: Camera) -> _Query:
        return _Query(view, Target(view.gray, camera), self._described(view.gray))

    def _described(self, gray: Gray) -> ImageFeatures:
        """The features of an image, without those where it carries none."""
        features = describe(gray, self.config.matcher)
        if self.mask is None or self.mask.is_empty or gray.shape != (self.mask.height, self.mask.width):
            return features
        return features.select(self.mask.allows(features.pixels))

    def references(self, view: View) -> list[int]:
        """Keyframes that look most like the view, best first (the anchor), no two of them neighbours."""
        return spaced(self.places.like_view(view), self.config.n_similar)

    def _by_matches(self, query: _Query, references: Sequence[int]) -> list[Hypothesis]:
        """At most one hypothesis from each reference, by its matched features."""
        out = []
        for k in references:
            mine = self._features_of(k)
            ia, ib = match(mine, query.features, self.config.matcher)
            px_k, px = epipolar_inliers(mine.pixels[ia], query.features.pixels[ib])
            fit = self.locator.from_matches(k, px_k, query.target, px)
            if fit is not None:
                out += self._confirmed(k, query.target, fit.T_cam_world, PNP)
        return out

    def _by_network(self, query: _Query, references: list[int]) -> list[Hypothesis]:
        """The network's proposals, confirmed by the references that look most alike."""
        if self.proposer is None:
            return []
        out = []
        shown = References.of(self.map, references)
        for p in self.proposer.propose(shown, query.view.image, query.target.camera):
            for k in references[:N_CONFIRMING]:
                out += self._confirmed(k, query.target, se3.inverse(p.T_world_cam), p.method)
        return out

    def _confirmed(self, k: int, target: Target, T_cam_world: Array, method: str) -> list[Hypothesis]:
        found = self.locator.confirm(k, target, T_cam_world)
        if found is None:
            return []
        z = se3.transform(se3.inverse(found.T_world_cam), self.map.landmarks_world(found.ids))[:, 2]
        return [Hypothesis(found, method, max(float(np.median(z)), 1e-6))]

    def _features_of(self, k: int) -> ImageFeatures:
        if k not in self._features:
            if len(self._features) >= KEPT_FEATURES:
                self._features.pop(next(iter(self._features)))
            self._features[k] = self._described(self.places.gray(k))
        return self._features[k]


GAP = 2
"""Keyframes this near in their order are neighbours: they show nearly the same."""


def spaced(ids: list[int], n: int, gap: int = GAP) -> list[int]:
    """The first n of ids that are more than `gap` apart from those taken before them."""
    taken: list[int] = []
    for k in ids:
        if len(taken) == n:
            break
        if all(abs(k - j) > gap for j in taken):
            taken.append(k)
    return taken
