"""The steps of a merge on a Ray cluster of this machine, begun for the time: the same as without one."""

from pathlib import Path

import pytest
from fleet.walks import FRAMES, Here, saved, tie, walk

from vgslam.errors import MapError
from vgslam.fleet.meet import Known, known
from vgslam.fleet.merge_many import fold
from vgslam.fleet.ray_engine import RayCalls
from vgslam.fleet.task import TaskLimits
from vgslam.store.manifest import read_manifest


@pytest.mark.slow
def test_a_merge_on_a_cluster_is_that_of_this_machine_to_the_last_bit(tmp_path: Path) -> None:
    maps = [saved(walk(S), tmp_path / f"m{i}") for i, S in enumerate(FRAMES)]
    ties = {(0, 1): [tie(k, k) for k in (1, 2, 3)], (1, 2): [tie(k, k) for k in (2, 3, 4)]}
    weights = {(0, 1): 3.0, (1, 2): 3.0}
    calls = RayCalls(None, 1, TaskLimits(cpus=0.5, memory_bytes=100 * 2**20))
    made = {}
    for name, engine in (("here", Here()), ("ray", calls)):
        notes: dict[int, str] = {}
        [(path, members)] = fold(maps, ties, weights, tmp_path / name, engine, notes)
        assert (members, notes) == ([0, 1, 2], {})
        made[name] = read_manifest(path).state_sha256
    assert made["ray"] == made["here"]
    answers = dict(calls.each(known, [(maps[0],), (tmp_path,)]))
    assert isinstance(answers[0], Known)
    assert len(answers[0].keyframes) == 6
    assert isinstance(answers[1], MapError), "an error of another machine is the same error here"
    assert "\n" not in str(answers[1])
