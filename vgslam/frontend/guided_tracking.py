"""Tracking that starts from where a network says that the camera has gone."""

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.tracker import Tracker, TrackResult, TrackState, View
from vgslam.geometry import se3
from vgslam.types import WindowInput


def track_guided(tracker: Tracker, guide: AskedGuide, state: TrackState, view: View) -> TrackResult | None:
    """The network's motion from the last view to this one, in units of the median depth, and features followed from
    there. None if it says nothing, or features are not found there. An answer about an earlier view serves as long as
    the last view is the same: it is where the search begins."""
    if len(state.ids) == 0:
        return None
    ids, last = np.array([state.view.frame_id, view.frame_id]), state.view.frame_id
    window = WindowInput(ids, [state.view.image, view.image], tracker.camera)
    answer = guide.predict(Reason.LOST, last, window)
    if answer is None:
        return None
    if answer.about != last:
        guide.desk.too_late(Reason.LOST)
        return None
    prediction = answer.value
    z = se3.transform(se3.inverse(state.T_world_cam), tracker.map.landmarks_world(state.ids))[:, 2]
    motion = se3.inverse(prediction.T_window_cam[1])
    motion[:3, 3] *= max(float(np.median(z)), 1e-3)
    result = tracker.track(state, view, motion)
    return None if result.is_lost else result
