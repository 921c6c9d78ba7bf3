"""How a live run is doing, once a second: frame rate, latency, lag of mapping, drops, CPU and memory. A line for people
or JSON, and Prometheus' text format over HTTP, on this machine alone
(https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4)."""

import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.errors import ConfigError
from vgslam.session.main_loop import Tracked
from vgslam.session.run import Run
from vgslam.two_lanes import TwoLaneSystem

EVERY_S = 1.0  # seconds from one report to the next
NO_FRAMES = "NO FRAMES"  # the status of an interval in which none came


@dataclass(frozen=True)
class Stats:
    """A run between two looks at it; counts are of the whole run."""

    n_frames: int
    status: str  # status of the newest frame; NO FRAMES where none came in this interval
    frames_per_s: float
    latency_p50_ms: float  # time from a frame's arrival to its pose, in this interval
    latency_p95_ms: float
    latency_max_ms: float
    mapping_lag_frames: int  # frames since the one that mapping works on; 0 while it waits for a keyframe
    n_keyframes: int
    dropped: dict[str, int] = field(default_factory=dict)  # frames that were never worked on, by reason
    cpu_percent: float = 0.0  # share of one core, all threads together
    memory_mib: float = 0.0  # resident memory

    def line(self) -> str:
        """The figures in a line for people."""
        lost = ", ".join(f"{n} {why}" for why, n in self.dropped.items() if n) or "none"
        return (
            f"frame {self.n_frames} {self.status}, {self.frames_per_s:.1f}/s, latency {self.latency_p50_ms:.0f} ms "
            f"(95 % {self.latency_p95_ms:.0f}, most {self.latency_max_ms:.0f}), mapping {self.mapping_lag_frames} "
            f"frames behind, {self.n_keyframes} keyframes, dropped: {lost}, CPU {self.cpu_percent:.0f} %, "
            f"{self.memory_mib:.0f} MiB"
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)


class Telemetry:
    """A follower of the main loop; `ticking` makes it report when no frames come, too. `newest`: the last report, None
    before the first. tell: gets each report as it is made. now, cpu_s, memory_mib: clocks and gauge, which a test may
    replace."""

    def __init__(
        self, run: Run, tell: Callable[[Stats], object] = lambda stats: None,
        now: Callable[[], float] = time.monotonic, cpu_s: Callable[[], float] = time.process_time,
        memory_mib: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._run, self._tell, self._now, self._cpu_s = run, tell, now, cpu_s
        self._memory_mib = memory_mib or resident_mib
        self._began_s, self._began_cpu_s, self._n_told = now(), cpu_s(), 0
        self.newest: Stats | None = None
        self._status, self._lock = NO_FRAMES, threading.Lock()

    def __call__(self, tracked: Tracked) -> None:
        """Take the next frame, after its pose was handed out."""
        self._status = str(tracked.estimate.status)
        self.tick()

    def tick(self) -> None:
        """Report if it is time; from any thread. A reader that has gone away hears no more."""
        with self._lock:
            passed_s = self._now() - self._began_s
            if passed_s < EVERY_S:
                return
            self.newest = self._look(passed_s)
            try:
                self._tell(self.newest)
            except OSError:
                self._tell = lambda stats: None

    def _look(self, passed_s: float) -> Stats:
        run, live, cpu_s = self._run, self._run.loop.live, self._cpu_s()
        n = len(run.latencies_s)
        ms = 1000.0 * np.array(run.latencies_s[self._n_told :] if n > self._n_told else [0.0])
        p50, p95 = np.percentile(ms, [50, 95])
        slam = run.slam
        stats = Stats(
            n, self._status if n > self._n_told else NO_FRAMES, round((n - self._n_told) / passed_s, 2),
            round(float(p50), 2), round(float(p95), 2), round(float(ms.max()), 2),
            slam.load.lag_frames if isinstance(slam, TwoLaneSystem) else 0, len(slam.map.keyframes),
            live.dropped if live is not None else {}, round(100.0 * (cpu_s - self._began_cpu_s) / passed_s, 1),
            round(self._memory_mib(), 1),
        )  # fmt: skip
        self._began_s, self._began_cpu_s, self._n_told = self._began_s + passed_s, cpu_s, n
        return stats


@contextmanager
def ticking(telemetry: Telemetry, every_s: float = EVERY_S / 2) -> Iterator[Telemetry]:
    """Within the block the telemetry reports on time although no frames come."""
    is_over = threading.Event()

    def tick() -> None:
        while not is_over.wait(every_s):
            telemetry.tick()

    thread = threading.Thread(target=tick, name="vgslam-telemetry", daemon=True)
    thread.start()
    try:
        yield telemetry
    finally:
        is_over.set()
        thread.join()


def resident_mib() -> float:
    """Memory that the process holds now; its peak where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


HOST, PATH = "127.0.0.1", "/metrics"
TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(stats: Stats | None) -> str:
    """The text for one look; empty of values before the first report."""
    if stats is None:
        return "# no frame yet\n"
    rows: list[tuple[str, str, str, dict[str, float]]] = [
        ("vgslam_frames_total", "counter", "Frames that got a status.", {"": stats.n_frames}),
        ("vgslam_frames_per_second", "gauge", "Frames in the last second.", {"": stats.frames_per_s}),
        ("vgslam_latency_seconds", "gauge", "From arrival to pose, in the last second.", {
            '{quantile="0.5"}': stats.latency_p50_ms / 1e3, '{quantile="0.95"}': stats.latency_p95_ms / 1e3,
            '{quantile="1"}': stats.latency_max_ms / 1e3}),
        ("vgslam_mapping_lag_frames", "gauge", "Frames since the one mapped now.", {"": stats.mapping_lag_frames}),
        ("vgslam_keyframes", "gauge", "Keyframes in the map.", {"": stats.n_keyframes}),
        ("vgslam_dropped_frames_total", "counter", "Frames never worked on.", {
            f'{{reason="{why}"}}': n for why, n in sorted(stats.dropped.items())}),
        ("vgslam_tracked", "gauge", "1 while frames get poses.", {
            "": float(stats.status in ("TRACKED", "RELOCALIZED"))}),
        ("vgslam_cpu_cores", "gauge", "Cores in use in the last second.", {"": stats.cpu_percent / 100.0}),
        ("vgslam_resident_memory_bytes", "gauge", "Memory held.", {"": stats.memory_mib * 2**20}),
    ]  # fmt: skip
    lines = []
    for name, kind, about, values in rows:
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:.10g}" for labels, value in values.items()]
    return "\n".join(lines) + "\n"


def check_port(port: int) -> None:
    """Raises ConfigError where nothing can listen: better before a run than within."""
    with served(port, lambda: None):
        pass


@contextmanager
def served(port: int, newest: Callable[[], Stats | None]) -> Iterator[int]:
    """Answers GET /metrics within the block; gives the port, which is a free one for 0. Raises ConfigError where the
    port is taken."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # few runs serve anything

    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            if self.path != PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            text = exposition(newest()).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Standard error is for messages of the run."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--metrics-port {port}: cannot listen there ({error}); give a free port") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="vgslam-metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
