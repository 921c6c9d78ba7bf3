"""Settings of a run, reports, and the page that is made of a run's folder."""

import json
from html.parser import HTMLParser
from pathlib import Path

from fuzz.grammar import NESTED, VALUES, as_json, documents
from fuzz.mutations import mostly, mutated_files
from fuzz.parser import Files, Parser
from fuzz.trajectories import TEXTS, TUM
from hypothesis import strategies as st

from vgslam.commands.config import run_defaults
from vgslam.config import names_in_yaml
from vgslam.errors import VgslamError
from vgslam.results.page.document import page
from vgslam.results.page.run_data import read_run_data
from vgslam.results.report import RunReport

CONFIG = b"path: ../x\nsource: auto\nfps: 30.0\nslam:\n  tracker:\n    min_inliers: 10\nadapt: 'off'\nmask: null\n"
CLOUD = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    b"property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" + bytes(range(30))
)
KNOWN = ["script", "style", "img", "svg"]
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "script",
    "body",
    "h1",
    "h2",
    "p",
    "section",
    "table",
    "tr",
    "th",
    "td",
    "thead",
    "tbody",
    "figure",
    "img",
    "details",
    "summary",
    "pre",
    "i",
    "div",
    "b",
    "span",
    "a",
    "br",
    "ul",
    "li",
    "h3",
    "canvas",
    "label",
    "input",
    "button",
}


def _report() -> bytes:
    report = json.loads(RunReport(commit=None).to_json())
    report |= {"source_name": "room", "warnings": ["a & b"], "stage_cpu_s": {"track": 1.0}, "n_frames": 2, "cpu_s": 2.0}
    return as_json(report)


def samples() -> list[Files]:
    """The folder of a run, and its settings."""
    run = {
        "report.json": _report(),
        "status.csv": TEXTS["status.csv"].encode(),
        "config.yaml": CONFIG,
        "trajectory.tum": TUM.encode(),
        "plots/error.png": b"\x89PNG",
        "cloud.ply": CLOUD,
    }
    return [run, {"config.yaml": CONFIG}]


class Tags(HTMLParser):
    """Counts what would run, and refuses tags and attributes that the page has none of."""

    n_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        self.n_scripts += tag == "script" and ("type", "application/json") not in attrs  # the data of the 3-D view
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in ("src", "href") or str(value).startswith("data:image/"), value


def read_settings(folder: Path) -> None:
    """config.yaml as the defaults of `vgslam run`."""
    path = folder / "config.yaml"
    names_in_yaml(path)
    run_defaults(path)


def read_report(folder: Path) -> None:
    """report.json, and the page of the folder: whatever is in it, the page holds its one script and no request."""
    refused = None
    try:
        RunReport.read(folder / "report.json")
    except VgslamError as error:
        refused = error
    tags = Tags()
    text = page(read_run_data(folder))
    text.encode()
    tags.feed(text)
    assert tags.n_scripts == 1
    if refused is not None:
        raise refused


REPORTS = documents(sorted(json.loads(_report()))).map(
    lambda d: {**samples()[0], "report.json": as_json({"complete": True, **d})}
)
CONFIGS = st.one_of(
    documents(
        ["path", "slam", "adapt", "adaptation", "source", "fps", "mask", "poses", "memory", "calib", "viewer"]
    ).map(as_json),
    NESTED,
    VALUES.map(as_json),
).map(lambda data: {"config.yaml": data})
PARSERS = [
    Parser(
        "settings",
        mostly(mutated_files(samples, (b"slam:", b"adapt:", b"&a", b"*a", b"poses:")), CONFIGS),
        read_settings,
    ),
    Parser(
        "report and page",
        mostly(mutated_files(lambda: samples()[:1], (b"<img src=x onerror=alert(1)>",)), REPORTS),
        read_report,
    ),
]
