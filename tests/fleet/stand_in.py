"""Stands in for the process of one recording, for the tests of fleets: the recording is a text that says what to do.

done: results; die: ends by a signal; die once: the first time only; eat: takes memory until it is ended; hang: waits
for ever; full: fails as with a full disk; lost: gives up with results.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path


def results(out: Path, ending: str, text: str) -> None:
    facts = {"n_frames": 10, "n_poses": 9, "n_losses": 1, "n_components": 1, "length": 2.0, "is_metric": False,
             "duration_s": 1.0}  # fmt: skip
    (out / "trajectory.tum").write_text(text)
    (out / "facts.json").write_text(json.dumps({"ending": ending, "error": "", "facts": facts}))


def end_with_parent() -> None:
    """A test run that is killed leaves nothing behind (PR_SET_PDEATHSIG; Linux alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> int:
    end_with_parent()
    order = json.loads(Path(sys.argv[1]).read_text())
    recording, out = Path(order["recording"]), Path(order["out"])
    said = recording.read_text().strip()
    mark = recording.with_suffix(".was_tried")
    out.mkdir()
    if said == "die" or (said == "die once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if said == "eat":
        kept = []
        while True:
            kept.append(bytearray(os.urandom(2**20)) * 8)
    if said == "hang":
        Path(order["progress"]).write_text("2.0\n")
        time.sleep(3600)
    if said == "full":
        sys.stdout.write("vgslam: out: cannot be written (No space left on device); choose another place\n")
        return 3
    if said == "lost":
        results(out, "lost", said)
        return 4
    results(out, "done", said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
