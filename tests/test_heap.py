"""Freed memory goes back to the system although something lies above it."""

import sys
from pathlib import Path

import pytest

from vgslam import heap

MIB = 2**20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_what_lies_below_a_block_in_use_goes_back() -> None:
    blocks = [bytes(60_000) for _ in range(2000)]
    top = blocks[-1]
    del blocks
    before = resident_bytes()
    heap.give_memory_back()
    assert before - resident_bytes() > 50 * MIB
    assert len(top) == 60_000


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: object) -> None:
        raise AssertionError("no library is looked for")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(heap.ctypes, "CDLL", none)
    heap.give_memory_back()
