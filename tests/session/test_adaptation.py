"""Adaptation of a run's network begins with the first question, and its weights wait while a question is answered."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from waiting import HANG_S, until

from vgslam.errors import ConfigError
from vgslam.frontend.asking import Desk, Reason
from vgslam.network.options import NetworkOptions
from vgslam.session.adaptation import NOT_BEGUN, AdaptOptions, open_adaptation
from vgslam.session.network import OpenedNetwork, open_network
from vgslam.types import Camera

CAMERA = Camera.from_fov(64, 48, 70.0)
IMAGE = np.zeros((48, 64, 3), np.uint8)


def opened(name: str = "vggt") -> OpenedNetwork:
    network = open_network(NetworkOptions(name, device="cpu"), lambda line: None)
    assert network is not None
    return network


def test_nothing_is_opened_nor_learned_before_the_network_is_asked() -> None:
    network = opened()
    with open_adaptation(network, "sync", None, AdaptOptions()) as adaptation:
        adaptation.after_frame(IMAGE, 0, CAMERA)
        assert adaptation.online is None
        assert "backbone" not in vars(network)
        assert adaptation.report() == {"model_id": network.model_id, "step": 0, "line": NOT_BEGUN}
        network.desk.ask(Reason.START, 0, lambda: network.backbone)
        adaptation.after_frame(IMAGE, 1, CAMERA)
        assert adaptation.online is not None
        report = adaptation.report()
        assert report is not None
        assert (report["model_id"], report["n_commits"], report["events"]) == (network.model_id, 0, [])


def test_a_question_that_is_asked_but_not_open_yet_begins_nothing() -> None:
    network = opened()
    network.desk.ask(Reason.START, 0, lambda: None)
    with open_adaptation(network, "sync", None, AdaptOptions()) as adaptation:
        adaptation.after_frame(IMAGE, 0, CAMERA)
        assert adaptation.online is None


def test_without_the_option_there_is_no_entry() -> None:
    network = opened()
    adaptation = open_adaptation(network, "off", None, AdaptOptions())
    assert adaptation.report() is None
    assert adaptation.model_id == network.model_id


def test_bad_options_are_found_at_the_start() -> None:
    with pytest.raises(ConfigError, match="steps"):
        open_adaptation(opened(), "background", None, AdaptOptions(steps=0))


def is_idle(desk: Desk) -> bool:
    with desk.asking_later() as is_so:
        return is_so


def test_a_desk_is_busy_while_it_answers_beside_the_frames() -> None:
    desk, may_end = Desk(is_beside=True), threading.Event()
    assert is_idle(desk)
    desk.ask(Reason.LOST, 0, may_end.wait)
    assert not is_idle(desk)
    may_end.set()
    until(lambda: is_idle(desk))
    desk.close()


def test_nothing_is_asked_while_the_network_is_changed() -> None:
    desk, asked = Desk(is_beside=True), threading.Event()
    with desk.asking_later() as may_change:
        assert may_change
        asker = threading.Thread(target=lambda: desk.ask(Reason.LOST, 0, asked.set))
        asker.start()
        asker.join(0.1)
        assert asker.is_alive()
        assert not asked.is_set()
    asker.join(HANG_S)
    assert asked.wait(HANG_S)
    desk.close()


def test_the_process_beside_ends_without_a_word(tmp_path: Path) -> None:
    """It is ended with windows still on their way, and the system gets its semaphores back."""
    code = f"""
import sys, numpy as np, os
from pathlib import Path
from vgslam.adapt.worker import BackgroundAdapter
from vgslam.geometry.camera import Camera
from vgslam.network.weights import load
if __name__ == "__main__":
    adapter = BackgroundAdapter(load("vggt-s").model, Path({str(tmp_path)!r}))
    image = np.zeros((48, 64, 3), np.uint8)
    adapter.observe([image] * 4, [0, 1, 2, 3], Camera.from_fov(64, 48, 70.0))
    adapter.close(0.0)
    adapter.close()
    adapter.observe([image] * 4, [4, 5, 6, 7], Camera.from_fov(64, 48, 70.0))
    assert adapter.poll() is None
    sys.stdout.flush()
    os._exit(0)
"""
    script = tmp_path / "ends.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert json.dumps([done.returncode, done.stdout, done.stderr]) == json.dumps([0, "", ""])
