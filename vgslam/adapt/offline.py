"""Adaptation to a recording: all windows first, then rounds."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vgslam.adapt.adapter import Adapter, Event
from vgslam.adapt.collector import Frames
from vgslam.adapt.safeguards import Measures
from vgslam.adapt.windows import Skip, Window, make_window
from vgslam.errors import InputError


@dataclass(frozen=True)
class AdaptOutcome:
    """The outcome of adapting to a recording."""

    before: Measures  # measures on the windows held back, with the start network
    after: Measures  # the same with the adapted network
    n_training: int
    n_held_back: int
    skipped: dict[str, int]  # number of skipped windows by reason
    steps: int  # steps that were committed
    events: tuple[Event, ...]


BLOCK = 3
"""Windows that are held back together: neighbours share frames, and those beside a block are lost for training."""
HELD_BACK = 4
"""At most one block in this many is held back: as many as the adapter takes, spread over the whole recording."""


def collect(adapter: Adapter, windows: Iterable[Frames]) -> dict[str, int]:
    """Shares the windows out between training and validation; returns how many were skipped, by reason. InputError if
    too few are left."""
    skipped: Counter[str] = Counter()
    usable: list[Window] = []
    for frames in windows:
        made = make_window(frames.images, frames.frame_ids, frames.camera, adapter.network, adapter.config.screen)
        if isinstance(made, Skip):
            skipped[made.value] += 1
        else:
            usable.append(made)
    is_held_back = _held_back(len(usable), adapter.config.limits.min_probes, adapter.config.max_probes)
    for wanted in (True, False):
        for window, held in zip(usable, is_held_back, strict=True):
            if held is wanted:
                adapter.keep(window, held)
    enough = adapter.config.limits.min_probes
    if len(adapter.probes) < enough or not adapter.n_training_windows:
        why = ", ".join(f"{n} {reason}" for reason, n in skipped.items())
        why = why or "the recording is short, or its camera hardly moves"
        raise InputError(
            f"too little to learn from: {adapter.n_training_windows} windows to train on and {len(adapter.probes)} to "
            f"hold back, of which {enough} are needed ({why}); use a longer recording of a camera that moves sideways"
        )
    return dict(skipped)


def _held_back(n: int, least: int, most: int) -> list[bool]:
    """Which of n windows are held back: one block in HELD_BACK, more if that would be too few."""
    for every in (max(HELD_BACK, -(-n // most)), 3, 2):
        chosen = [k // BLOCK % every == 1 for k in range(n)]
        if sum(chosen) >= least:
            break
    return chosen


def adapt(
    adapter: Adapter, windows: Iterable[Frames], n_steps: int, show: Callable[[int, float], None] | None = None,
    tell: Callable[[Event], None] | None = None,
) -> AdaptOutcome:  # fmt: skip
    """Collects, then runs rounds until n_steps were trained or the adapter stops. show(steps, loss) after each step,
    tell(event) after each round. Ctrl-C ends it with what was committed. InputError as `collect`."""
    skipped = collect(adapter, windows)
    before = adapter.measure_start()
    try:
        run_rounds(adapter, n_steps, show, tell)
    except KeyboardInterrupt:
        adapter.close()
    return AdaptOutcome(
        before, adapter.measure_served(), adapter.n_training_windows, len(adapter.probes), skipped, adapter.step,
        tuple(adapter.events),
    )  # fmt: skip


def run_rounds(
    adapter: Adapter, n_steps: int, show: Callable[[int, float], None] | None = None,
    tell: Callable[[Event], None] | None = None,
) -> None:  # fmt: skip
    """Rounds until n_steps were trained, committed or not, or the adapter stops; show and tell as in `adapt`."""
    done = 0

    def count(loss: float) -> None:
        nonlocal done
        done += 1
        if show is not None:
            show(done, loss)

    while done < n_steps and not adapter.is_stopped:
        event = adapter.run_round(count)
        if tell is not None:
            tell(event)
