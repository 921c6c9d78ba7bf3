"""Tracking that starts from where a network says that the camera has gone."""

import numpy as np

from vgslam.frontend.guide import Guide
from vgslam.frontend.tracker import Tracker, TrackResult, TrackState, View
from vgslam.geometry import se3
from vgslam.types import WindowInput


def track_guided(tracker: Tracker, guide: Guide, state: TrackState, view: View) -> TrackResult | None:
    """The network's motion from the last view to this one, in units of the median depth, and features followed from
    there. None if it says nothing."""
    ids = np.array([state.view.frame_id, view.frame_id])
    prediction = guide.predict(WindowInput(ids, [state.view.image, view.image], tracker.camera))
    if prediction is None or len(state.ids) == 0:
        return None
    z = se3.transform(se3.inverse(state.T_world_cam), tracker.map.landmarks_world(state.ids))[:, 2]
    motion = se3.inverse(prediction.T_window_cam[1])
    motion[:3, 3] *= max(float(np.median(z)), 1e-3)
    return tracker.track(state, view, motion)
