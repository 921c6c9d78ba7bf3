"""One task: what its process does to it, and that it is done once."""

import json
import signal
import threading
from contextlib import closing
from dataclasses import replace
from queue import Queue

import pytest
from waiting import until

from vgslam.fleet.engine import LocalEngine, jobs_that_fit
from vgslam.fleet.folder import FleetFolder
from vgslam.fleet.supervise import CutShort, watch
from vgslam.fleet.task import Ending, Task, TaskLimits, TaskResult
from vgslam.fleet.work import do_task, work_on

MIB = 2**20


def files(folder: FleetFolder) -> set[str]:
    return {p.name for p in (folder.path / "results").iterdir()}


def test_results_appear_under_name_and_key_and_are_not_made_again(task, folder) -> None:
    first = work_on(task("walk", "done"))
    assert (first.ending, first.error, first.attempts, first.was_there) == (Ending.DONE, "", 1, False)
    assert first.facts.coverage == pytest.approx(0.9)
    assert files(folder) == {f"walk-{first.key}"}
    again = work_on(replace(task("walk", "done"), name="called otherwise"))
    assert again.was_there
    assert again.attempts == 0
    assert again.results == first.results
    assert folder.starts() == [first.key]


def test_a_task_and_its_result_survive_the_wire(task) -> None:
    sent = replace(task("walk", "done"), map="/m", max_lost_frames=7)
    assert Task.from_json(sent.to_json()) == sent
    result = TaskResult.from_json(do_task(sent.to_json()))
    assert result.ending is Ending.DONE
    assert TaskResult.from_json(result.to_json()) == result


def test_a_process_that_dies_is_tried_again(task, folder) -> None:
    result = work_on(task("walk", "die once"))
    assert (result.ending, result.attempts) == (Ending.DONE, 2)
    assert len(folder.starts()) == 2


def test_a_process_that_dies_each_time_is_a_failure_with_a_log(task, folder) -> None:
    result = work_on(task("walk", "die", TaskLimits(retries=2)))
    assert (result.ending, result.attempts) == (Ending.FAILED, 3)
    assert "SIGKILL" in result.error
    assert files(folder) == set()
    assert folder.log("walk", result.key).exists()
    assert list((folder.path / ".work").iterdir()) == []


def test_a_process_that_takes_all_memory_is_ended_and_not_tried_again(task) -> None:
    result = work_on(task("walk", "eat", TaskLimits(memory_bytes=100 * MIB)))
    assert (result.ending, result.attempts) == (Ending.FAILED, 1)
    assert "100 MiB" in result.error
    assert "--memory" in result.error
    assert result.peak_mib > 100


def test_a_process_may_take_a_multiple_of_what_it_has_come_through(task, tmp_path) -> None:
    """It says that it is through 2 s: 30 s and 5 s for each of these are 40 s."""
    limits = TaskLimits(timeout_factor=5.0, timeout_least_s=30.0)
    order = tmp_path / "order.json"
    (tmp_path / "hang.txt").write_text("hang")
    order.write_text(json.dumps({"recording": str(tmp_path / "hang.txt"), "out": str(tmp_path / "r"),
                                 "progress": str(tmp_path / "progress")}))  # fmt: skip
    seen = []

    def clock() -> float:
        """Stands at 39.9 s once the process has said how far it is, and goes on after some looks."""
        if not (tmp_path / "progress").exists() or not (tmp_path / "progress").read_text():
            return 0.0
        seen.append(39.9 if len(seen) < 5 else 40.1)
        return seen[-1]

    watched = watch([*task("x", "done").words, str(order)], tmp_path, limits, now=clock)
    assert watched.cut is CutShort.TIME
    assert seen[:5] == [39.9] * 5
    assert "not finished" in watched.failure(limits)


def test_a_full_disk_and_a_camera_that_was_lost_too_long(task) -> None:
    full, lost = work_on(task("a", "full")), work_on(task("b", "lost"))
    assert (full.ending, full.attempts) == (Ending.FAILED, 1)
    assert "No space left" in full.error
    assert lost.ending is Ending.LOST
    assert lost.is_usable
    assert lost.results


def test_a_node_with_another_program_or_another_folder_does_nothing(task, folder) -> None:
    other = work_on(replace(task("walk", "done"), program="0.0-other"))
    assert "another version" in other.error
    elsewhere = work_on(replace(task("walk", "done"), tag="0123"))
    assert "does not see" in elsewhere.error
    assert files(folder) == set()
    assert folder.starts() == []


def test_one_failure_stops_no_other(task, folder) -> None:
    tasks = [task(name, says) for name, says in zip("abcd", ["die", "done", "full", "done"], strict=True)]
    results = {r.key: r for r in LocalEngine(2).run(tasks)}
    assert [results[t.key].ending for t in tasks] == [Ending.FAILED, Ending.DONE, Ending.FAILED, Ending.DONE]
    assert len(files(folder)) == 2


def test_an_interrupt_ends_the_processes(task, folder) -> None:
    begun: Queue[threading.Event] = Queue()

    def work(t: Task, stop: threading.Event) -> TaskResult:
        begun.put(stop)
        return work_on(t, stop)

    run = LocalEngine(2, work).run([task("a", "hang"), task("b", "hang"), task("c", "done")])
    with pytest.raises(KeyboardInterrupt):
        _interrupted_when(begun, run)
    # a thread that was just being started is not waited for
    until(lambda: list((folder.path / ".work").iterdir()) == [])
    assert files(folder) == set()


def _interrupted_when(begun: "Queue[threading.Event]", run) -> None:
    """Takes results, until Ctrl-C comes when the first task has begun. It comes again where it was swallowed: one that
    is raised while the pool cleans up after itself is only printed. A real signal: a simulated one wakes nobody."""

    def interrupt() -> None:
        stop = begun.get()
        while not stop.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            stop.wait(1.0)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with closing(run):
            list(run)
    finally:
        signal.signal(signal.SIGINT, before)


def test_as_many_at_a_time_as_cpus_and_memory_allow() -> None:
    limits = TaskLimits(cpus=2.0, memory_bytes=4 * 2**30)
    assert jobs_that_fit(limits, cores=8, free_bytes=64 * 2**30) == 4
    assert jobs_that_fit(limits, cores=8, free_bytes=9 * 2**30) == 2
    assert jobs_that_fit(limits, cores=1, free_bytes=2**30) == 1


@pytest.mark.parametrize("field", ["cpus", "memory_bytes", "timeout_factor", "timeout_least_s"])
def test_limits_are_positive(field: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        TaskLimits(**{field: 0})
    with pytest.raises(ValueError, match="retries"):
        TaskLimits(retries=-1)
