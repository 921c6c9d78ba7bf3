"""One thread a test process: the matrices are small, and the test runner uses the cores itself.

Fixtures that several rooms share are taken in here."""

import gc
import os
import signal
from collections.abc import Generator

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import cv2  # noqa: E402
import pytest  # noqa: E402
from expected_skips import failed_if_unexpected  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from program import bench, demo_folder, demo_images, lean_runs, sequence, vgslam  # noqa: E402
from rendered_walk import known_map, walk  # noqa: E402

__all__ = ["bench", "demo_folder", "demo_images", "known_map", "lean_runs", "sequence", "vgslam", "walk"]

cv2.setNumThreads(1)
os.fsync = os.fstat  # type: ignore[assignment]  # no test cuts the power: nothing has to wait for the disk
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script would ignore Ctrl-C

settings.register_profile("on a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on a busy machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--strict-skips", action="store_true", help="fail on skips that tests/expected_skips.py lacks")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: collecting garbage need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--strict-skips"):
        failed_if_unexpected(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--strict-skips"):
        failed_if_unexpected(report)
    return report
