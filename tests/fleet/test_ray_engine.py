"""Tasks on a Ray cluster of this machine, begun for the time."""

import signal

import pytest

from vgslam.errors import ConfigError
from vgslam.fleet.ray_engine import RayEngine
from vgslam.fleet.task import Ending, TaskLimits


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
