"""When a guide's depth may begin a component, and which features match: no image is looked at by a network here."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from frontend.test_initializer import initializer, unrelated

from vgslam.frontend import corner_tracks
from vgslam.frontend import initializer as module
from vgslam.frontend.asking import Answer, Desk, Reason
from vgslam.frontend.corner_tracks import Sighting
from vgslam.frontend.guide import VggtUse
from vgslam.frontend.initializer import Initializer, Start
from vgslam.frontend.tracker import Tracker, View


class Guide:
    """Answers about a frame."""

    def __init__(self, about: int, initialise: bool = True) -> None:
        self.use, self.desk, self.about, self.n_asked = VggtUse(initialise=initialise), Desk(), about, 0

    def predict(self, reason: Reason, about: int, window: Any) -> Answer[str]:
        self.n_asked += 1
        return Answer(self.about, "an answer")


def begun(guide: Guide | None, monkeypatch: pytest.MonkeyPatch) -> tuple[Initializer, Tracker, View]:
    """It after its first view, number 7, and the next view; whatever the guide says is verified."""
    init, tracker = initializer()
    init._guide = guide  # type: ignore[assignment]
    monkeypatch.setattr(module, "verified_start", lambda value, window: SimpleNamespace(value=value))
    view = tracker.view(7, 0.0, unrelated())
    assert init.step(view) is None
    return init, tracker, tracker.view(8, 1.0, unrelated(98))


def advised(init: Initializer, view: View, n: int = 40) -> Any:
    tracks = init._tracks
    assert tracks is not None
    seen = Sighting(8, 1.0, np.arange(n), tracks.corners[:n])
    return init._advised(replace(tracks, newest=view, sightings=[*tracks.sightings, seen]), is_leaving=True)


def out_of_view(init: Initializer, view: View) -> Start | None:
    """All corners of the first view are followed to this one, and it is about to leave."""
    tracks = init._tracks
    assert tracks is not None
    seen = Sighting(8, 1.0, np.arange(len(tracks.corners)), tracks.corners + np.float32(10.0))
    return init._out_of_view(replace(tracks, newest=view, sightings=[*tracks.sightings, seen]))


def test_an_answer_about_the_first_view_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Guide(7)
    init, _, view = begun(guide, monkeypatch)
    found = advised(init, view)
    assert found is not None
    assert found.value == "an answer"
    assert (guide.desk.counts[Reason.START].believed, guide.desk.counts[Reason.START].late) == (1, 0)


def test_an_answer_about_another_view_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Guide(6)
    init, _, view = begun(guide, monkeypatch)
    assert advised(init, view) is None
    assert (guide.desk.counts[Reason.START].believed, guide.desk.counts[Reason.START].late) == (0, 1)


def test_a_guide_for_other_uses_is_not_asked_nor_any_about_fewer_than_forty_tracks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, guide = Guide(7, initialise=False), Guide(7)
    init, _, view = begun(other, monkeypatch)
    assert advised(init, view) is None
    init, _, view = begun(guide, monkeypatch)
    assert advised(init, view, 39) is None
    assert (other.n_asked, guide.n_asked) == (0, 0)
    assert advised(init, view, 40) is not None


@pytest.mark.parametrize("n", [39, 40])
def test_forty_matches_are_asked_about_and_fewer_leave_what_was_followed(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first view leaves the image: it is matched by descriptors."""
    init, _, view = begun(None, monkeypatch)
    n_corners = len(init._tracks.corners)  # type: ignore[union-attr]
    seen: list[int] = []
    monkeypatch.setattr(module, "match", lambda a, b, config: (np.arange(n), np.arange(n)))
    monkeypatch.setattr(init, "_predict", lambda *_: None)
    monkeypatch.setattr(init, "_is_rotation", lambda *_: False)
    monkeypatch.setattr(init, "_advised", lambda tracks, **_: seen.append(len(tracks.last.index)))
    assert out_of_view(init, view) is None
    assert seen == [n if n == 40 else n_corners]


def test_what_the_mask_hides_is_not_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    init, tracker, view = begun(None, monkeypatch)
    hidden = np.zeros(view.gray.shape, bool)
    hidden[:, :160] = True
    tracker.mask.set_static(hidden)
    sides: list[float] = []

    def match(a: Any, b: Any, config: Any) -> tuple[np.ndarray, np.ndarray]:
        sides.extend([a.pixels[:, 0].min(), b.pixels[:, 0].min()])
        return np.arange(0), np.arange(0)

    monkeypatch.setattr(module, "match", match)
    monkeypatch.setattr(init, "_is_rotation", lambda *_: False)
    assert out_of_view(init, view) is None
    assert min(sides) > 150.0


def test_a_question_is_not_asked_of_a_rotation_and_not_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide says nothing that is verified; at 1.0 s it is due for the first time, then after as long again."""
    guide = Guide(7)
    init, tracker, _ = begun(guide, monkeypatch)
    monkeypatch.setattr(module, "verified_start", lambda value, window: None)
    monkeypatch.setattr(init, "_predict", lambda *_: None)
    is_rotation = True
    monkeypatch.setattr(init, "_is_rotation", lambda *_: is_rotation)
    asked: list[int] = []
    for k, time_s in enumerate((1.0, 1.1, 1.5, 2.2)):
        assert init.step(tracker.view(8 + k, time_s, unrelated())) is None
        asked.append(guide.n_asked)
        is_rotation = False
    assert asked == [0, 1, 1, 2]


def test_corners_that_are_followed_from_one_side_alone_are_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The view between sees the first two of three matched corners followed forward, and the last two backward."""
    init, tracker, _ = begun(None, monkeypatch)
    between, last = tracker.view(8, 0.1, unrelated()), tracker.view(9, 0.2, unrelated())
    forward, backward = np.array([[10.0, 1], [11, 1]]), np.array([[21.0, 2], [22, 2]])
    answers = iter([[(np.array([0, 1]), forward)], [(np.array([1, 2]), backward)]])
    monkeypatch.setattr(corner_tracks, "follow_through", lambda *_: next(answers))
    tracks = replace(init._tracks, newest=last, corners=np.zeros((5, 2), np.float32))  # type: ignore[type-var]
    three = np.zeros((3, 2), np.float32)
    found = tracks.matched(three, three).filled_in(tracker, [between]).sightings  # type: ignore[union-attr]
    assert [s.frame_id for s in found] == [7, 8, 9]
    assert found[1].index.tolist() == [5, 6, 7]
    assert found[1].pixels.tolist() == [[10.0, 1.0], [11.0, 1.0], [22.0, 2.0]]
    assert found[2].index.tolist() == [5, 6, 7]
