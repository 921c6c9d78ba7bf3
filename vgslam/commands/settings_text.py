"""A sentence on each setting: the docstring beneath the field in its class, or else the one here."""

import ast
import inspect
import textwrap
from dataclasses import is_dataclass

SENTENCES = {
    "SlamConfig.tracker": "Following features from frame to frame, and the pose of every frame.",
    "SlamConfig.mapper": "When a keyframe is taken, and how the map around it is adjusted.",
    "SlamConfig.initializer": "How a component of the map begins.",
    "SlamConfig.states": "When tracking is sure, unsure or lost.",
    "SlamConfig.reloc": "How a lost camera is found again in the map.",
    "SlamConfig.loops": "Places seen again, which close loops and join components.",
    "SlamConfig.patience": "Frames after a loss during which only the old map is tried, before a new one may begin.",
    "TrackerConfig.features": "Corners and optical flow.",
    "TrackerConfig.sigma_px": "Standard deviation of a tracked pixel, in px.",
    "TrackerConfig.gate": "Largest distance of an inlier, in standard deviations.",
    "TrackerConfig.min_inliers": "A frame with fewer inliers is lost.",
    "TrackerConfig.min_inlier_ratio": "A frame is lost when a smaller share of the followed landmarks are inliers.",
    "TrackerConfig.suspicious_ratio": "Below this share a frame is lost if the share also halved in one frame.",
    "TrackerConfig.ransac_below": "With a smaller share of inliers the pose is found anew by RANSAC.",
    "TrackerConfig.second_pass_below": "With a smaller share of inliers features are followed a second time.",
    "FeatureConfig.max_features": "Corners followed at a time.",
    "FeatureConfig.min_distance_px": "Least distance of two corners, in px.",
    "FeatureConfig.quality": "Least response of a corner, as a fraction of that of the strong ones.",
    "FeatureConfig.lk_window_px": "Edge of the window that optical flow compares, in px.",
    "FeatureConfig.lk_levels": "Levels of the pyramid of optical flow.",
    "FeatureConfig.max_back_error_px": "Largest error of a corner followed forward and back, in px.",
    "MapperConfig.min_parallax_px": "A keyframe is due at this median motion since the last one, in px.",
    "MapperConfig.min_shared": "A keyframe is due when a smaller share of the last one's landmarks is still followed.",
    "MapperConfig.window": "Keyframes in bundle adjustment.",
    "MapperConfig.n_old": "Keyframes of an earlier visit beside them.",
    "MapperConfig.n_fixed": "Keyframes of the window that are held still.",
    "MapperConfig.n_linked": "Earlier keyframes that a new one gets edges to.",
    "MapperConfig.max_residual_px": "An observation that disagrees by more is dropped, in px.",
    "MapperConfig.max_iterations": "Iterations of bundle adjustment.",
    "MapperConfig.huber_px": "Residual from which observations count less in bundle adjustment, in px.",
    "MapperConfig.tolerance": "Relative decrease of the cost at which bundle adjustment stops.",
    "MapperConfig.guess_rel_sigma": "Relative standard deviation of a guessed depth.",
    "MapperConfig.dense_every": "Keyframes from one dense depth map to the next; 0 makes none.",
    "MapperConfig.min_depth_confidence": "Least confidence of a dense depth that replaces a guess.",
    "MapperConfig.depth_rel_sigma": "Relative standard deviation of a dense depth.",
    "InitializerConfig.two_view": "When two views determine the geometry.",
    "InitializerConfig.matcher": "Matching of the two views by descriptors.",
    "InitializerConfig.min_alive": "Share of the first view's corners that must still be followed.",
    "InitializerConfig.max_earlier": "Views kept from first views that were given up.",
    "TwoViewConfig.min_parallax_px": "Least median parallax after removing the rotation, in px.",
    "TwoViewConfig.min_angle_deg": "Least median angle of triangulation, in degrees.",
    "TwoViewConfig.min_inliers": "Least number of points that agree.",
    "TwoViewConfig.min_rotation_inliers": "Least number of points that agree with a pure rotation.",
    "TwoViewConfig.min_inlier_ratio": "Least share of points that agree.",
    "TwoViewConfig.threshold_px": "Largest distance of an inlier from its epipolar line, in px.",
    "MatcherConfig.n_features": "SIFT features an image.",
    "MatcherConfig.ratio": "A match's distance must be below this times the second best.",
    "RelocalizerConfig.matcher": "Matching by descriptors.",
    "RelocalizerConfig.locate": "What a hypothesis must fulfil to be looked at.",
    "RelocalizerConfig.n_recent": "Last keyframes that are tried first, by a camera that was just lost.",
    "RelocalizerConfig.n_similar": "Keyframes that look most alike and are tried.",
    "RelocalizerConfig.n_nearby": "Keyframes considered for one that looks the same way, when the pose is known.",
    "RelocalizerConfig.n_joint": "Agreeing hypotheses whose landmarks make the final pose.",
    "RelocalizerConfig.n_back": "Old keyframes whose landmarks are looked for where the camera has come back.",
    "RelocalizerConfig.back_agreement":
        "Degrees, and position per median depth, within which these must say the same pose.",
    "RelocalizerConfig.min_trust": "Least probability of being right of an accepted pose.",
    "RelocalizerConfig.rival":
        "Another place with so large a share of the best one's landmarks makes a pose ambiguous.",
    "RelocalizerConfig.agreement": "Rotation in degrees, and position as a share of the depth, within one place.",
    "StateConfig.sure_inliers": "A followed frame with fewer inliers is unsure unless the map confirms it.",
    "StateConfig.sure_ratio": "The same for the share of the followed landmarks that are inliers.",
    "StateConfig.look_share": "Share of the landmarks that can be followed below which the map is asked as well.",
    "StateConfig.strict_inliers": "Inliers of a sure frame right after a relocalization.",
    "StateConfig.strict_ratio": "Their share right after a relocalization.",
    "StateConfig.unsure_s": "How long a frame that cannot be followed leaves tracking unsure before it is lost, in s.",
    "StateConfig.settle_s": "How long acceptance is strict after a relocalization, in s.",
    "StateConfig.patience_s": "Time after a loss, in s, before a new component may begin; `patience` counts as well.",
    "LocateConfig.min_inliers": "Least number of matches that agree with the pose.",
    "LocateConfig.min_ratio": "Least share of them among the matches that obey the epipolar geometry.",
    "LocateConfig.min_refound": "Least number of landmarks found where the pose says.",
    "LocateConfig.sigma_px": "Standard deviation of a matched feature, in px.",
    "LocateConfig.refound_sigma_px": "Standard deviation of a landmark found again, in px.",
    "LocateConfig.min_rel_sigma": "Least relative deviation of depth that landmarks are granted.",
    "LoopConfig.is_on": "Whether loops are looked for.",
    "LoopConfig.n_similar": "Places asked for that look alike.",
    "LoopConfig.n_verified": "Places of these that are verified.",
    "LoopConfig.min_gap": "Least number of keyframes between the two ends of a loop, within a component.",
    "LoopConfig.max_shared": "Landmarks in common above which a place belongs to the present window.",
    "LoopConfig.min_matches": "Least number of matches with a place.",
    "LoopConfig.agreement": "Within which two answers are the same: degrees, position per median depth, log-scale.",
    "LoopConfig.n_agreeing": "Keyframes in a row that must agree on a loop.",
    "LoopConfig.n_joining": "Keyframes in a row that must agree on joining two components.",
    "LoopConfig.max_correction": "Largest correction of position, as a share of the path between the two ends.",
    "LoopConfig.max_log_scale": "Largest correction of scale, as its logarithm.",
    "LoopConfig.min_cells": "Least number of 16 image cells that hold inliers.",
    "LoopConfig.in_background": "Look for loops on a thread beside the tracking; `live` always does.",
    "LoopConfig.matcher": "Matching by descriptors.",
    "LoopConfig.locate": "What the pose of a loop must fulfil.",
    "VggtUse.initialise": "A component starts with its second frame instead of waiting for parallax.",
    "VggtUse.corner_depth": "New corners get the network's depth instead of their neighbours'.",
    "VggtUse.motion_guess": "When tracking fails, features are looked for once more where the network's motion says.",
    "VggtUse.hold_scale": "The network's depth is a weak prior in bundle adjustment.",
    "VggtUse.dense_depth": "Every keyframe gets the network's depth and confidence.",
    "VggtUse.descriptors": "A lost view is compared with the keyframes by the network's descriptors.",
}


def sentences_of(cls: type) -> dict[str, str]:
    """Field name -> sentence of a dataclass; fields that nobody has explained are left out."""
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object:
            continue
        for name in getattr(base, "__annotations__", {}):
            if f"{base.__name__}.{name}" in SENTENCES:
                found[name] = SENTENCES[f"{base.__name__}.{name}"]
        found |= _docstrings(base)
    return found


def _docstrings(cls: type) -> dict[str, str]:
    """The string beneath each field in the source of the class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:]):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined]
    return found
