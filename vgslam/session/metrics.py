"""The state of a live run for Prometheus: its text format over HTTP, on this machine alone.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from vgslam.errors import ConfigError
from vgslam.session.telemetry import Stats

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
