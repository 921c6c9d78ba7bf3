"""The second process: what it is asked is done there, and here where that does not work."""

import os
import signal
import threading
from functools import partial
from operator import truediv
from pathlib import Path

import pytest
from waiting import until

from vgslam.session.second_process import SecondProcess


def test_without_a_process_all_is_done_here() -> None:
    with SecondProcess() as second:
        assert second.begin(os.getpid).result() == os.getpid()


def test_it_does_one_thing_after_another() -> None:
    with SecondProcess() as second:
        second.start([os.getpid])
        pids = [second.begin(os.getpid) for _ in range(3)]
        assert {job.result() for job in pids} == {pids[0].result()}
        assert pids[0].result() != os.getpid()


def test_an_error_is_that_of_the_same_thing_done_here() -> None:
    with SecondProcess() as second:
        second.start()
        with pytest.raises(ZeroDivisionError) as caught:
            second.begin(partial(truediv, 1, 0)).result()
        assert caught.traceback  # of this process
        assert second.begin(os.getpid).result() != os.getpid()


def test_what_cannot_be_sent_is_done_here() -> None:
    with SecondProcess() as second:
        second.start()
        assert second.begin(lambda: os.getpid()).result() == os.getpid()
        assert second.begin(os.getpid).result() != os.getpid()


def test_a_process_that_dies_is_done_without() -> None:
    with SecondProcess() as second:
        second.start()
        pid = second.begin(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        assert second.begin(os.getpid).result() == os.getpid()


def test_what_is_printed_there_disturbs_nothing() -> None:
    with SecondProcess() as second:
        second.start()
        assert second.begin(partial(print, "hello" * 10_000)).result() is None
        assert second.begin(partial(divmod, 7, 2)).result() == (3, 1)
        assert second.begin(os.getpid).result() != os.getpid()


def test_closing_ends_it_at_once_whatever_it_does(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with SecondProcess() as second:
        second.start()
        pid = second.begin(os.getpid).result()
        second.begin(partial(os.open, str(pipe), os.O_RDONLY))  # which nobody will ever write to
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    until(lambda: "vgslam-second-process" not in {t.name for t in threading.enumerate()})
    second.close()


def test_what_it_is_begun_with_is_done_before_all_else(tmp_path: Path) -> None:
    with SecondProcess() as second:
        second.start([partial(os.mkdir, tmp_path / "begun")])
        assert second.begin(partial(os.path.isdir, tmp_path / "begun")).result()


def test_it_is_out_of_reach_of_the_terminals_ctrl_c() -> None:
    with SecondProcess() as second:
        second.start()
        assert second.begin(partial(os.getsid, 0)).result() != os.getsid(0)


def test_without_a_process_the_caller_does_it_and_with_one_it_is_begun_at_once() -> None:
    with SecondProcess() as second:
        assert second.begin(threading.get_ident).result() == threading.get_ident()
        second.start()
        job = second.begin(os.getpid)
        until(job._is_done.is_set)
        assert job.result() != os.getpid()
