"""Tasks on a Ray cluster of this machine, begun for the time."""

import os
import signal
from contextlib import suppress
from typing import Any

import pytest

from vgslam.errors import ConfigError
from vgslam.fleet.ray_engine import RayEngine
from vgslam.fleet.task import Ending, TaskLimits
from vgslam.session.stop_signals import StopSignals, Terminated


@pytest.mark.slow
def test_ray_does_the_same_and_names_what_it_cannot(task, folder) -> None:
    limits, at_sigterm = TaskLimits(cpus=0.5, memory_bytes=100 * 2**20), signal.getsignal(signal.SIGTERM)
    tasks = [task(name, says, limits) for name, says in zip("abcd", ["done", "die", "die once", "eat"], strict=True)]
    results = {r.key: r for r in RayEngine(None, 1).run(tasks)}
    found = [results[t.key] for t in tasks]
    assert [r.ending for r in found] == [Ending.DONE, Ending.FAILED, Ending.DONE, Ending.FAILED]
    assert [r.attempts for r in found] == [1, 2, 2, 1]
    assert signal.getsignal(signal.SIGTERM) == at_sigterm, "Ray's would end the program, whatever it is doing"
    assert "more memory" in found[3].error
    too_much = task("e", "done", TaskLimits(memory_bytes=2**50))
    with pytest.raises(ConfigError, match="no machine of the cluster"):
        list(RayEngine(None, 1).run([too_much]))


@pytest.mark.parametrize("address", ["auto", "ray://h:1", "h", "h:1/x", "local"])
def test_a_cluster_is_named_by_host_and_port_alone(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        RayEngine(address)


class SignalledRay:
    """Stands in for Ray, to which a signal comes while it waits: of what a handler raises, it makes a
    KeyboardInterrupt."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def init(self, **_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(15))

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 8.0, "memory": 2.0**50}}]

    def remote(self, *_: Any) -> "SignalledRay":
        return self

    def options(self, **_: Any) -> "SignalledRay":
        return self

    def wait(self, refs: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(self.number)
        raise KeyboardInterrupt

    def cancel(self, *_: Any, **__: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_ray_made_of_a_signal_that_came_while_it_waits_is_told_apart(task, number: signal.Signals) -> None:
    engine = RayEngine(None, 1)
    engine.ray = SignalledRay(number)
    with StopSignals():
        at_sigterm = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt) as stop:
            list(engine.run([task("a", "done")]))
        assert isinstance(stop.value, Terminated) == (number is signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == at_sigterm
