"""`vgslam config`: prints the settings of a run with a sentence on each, as `--config` reads them."""

import json
import textwrap
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

import tyro
import yaml

from vgslam.commands.help_page import sentences_of
from vgslam.commands.run import RunArgs
from vgslam.config import names_in_yaml, read_yaml, to_plain
from vgslam.guards.wording import say
from vgslam.slam_config import SlamConfig

ONE_RUN_ONLY = ("out", "overwrite", "config", "quiet", "viewer", "poses", "json")
"""Fields of `run` that belong to one run: not printed, and not taken from a file."""
NO_PATH = Path("-")
WIDTH = 110


@dataclass
class ConfigArgs(RunArgs):
    """Prints the settings that `run` would use with the same options, as YAML with a sentence on each. Write it to a
    file, change it, and use it: vgslam config > my.yaml; vgslam run VIDEO --config my.yaml."""

    json: bool = field(default=False, kw_only=True)
    """Print JSON, without the sentences."""


def run_config(args: ConfigArgs) -> int:
    """Prints; returns 0."""
    left_out = (*ONE_RUN_ONLY, *(["path"] if args.path == NO_PATH else []))
    if args.json:
        plain = {k: v for k, v in to_plain(args).items() if k not in left_out}
        say(json.dumps(plain, indent=2, allow_nan=False))
    else:
        say(commented_yaml(args, left_out), end="")
    return 0


def commented_yaml(settings: Any, left_out: tuple[str, ...] = (), indent: str = "") -> str:
    """YAML text of nested dataclasses (without the fields left_out), each field under a comment that explains it."""
    sentences = sentences_of(type(settings))
    parts = []
    for f in fields(settings):
        if f.name in left_out:
            continue
        value = getattr(settings, f.name)
        width = WIDTH - len(indent)
        parts += [f"{indent}# {line}\n" for line in textwrap.wrap(sentences.get(f.name, ""), width)]
        if is_dataclass(value):
            parts.append(f"{indent}{f.name}:\n{commented_yaml(value, (), indent + '  ')}")
        else:
            text = yaml.safe_dump({f.name: to_plain(value)}, sort_keys=False, default_flow_style=False)
            parts.append(textwrap.indent(text, indent))
    return "".join(parts)


def run_defaults(path: Path | None) -> RunArgs:
    """The defaults of `run`, changed by a YAML file: settings of `slam`, or of `run` as `vgslam config` and the
    config.yaml of a run have them. Raises ConfigError, naming the key."""
    nothing = RunArgs(path=tyro.MISSING)
    if path is None:
        return nothing
    if not _is_of_run(path):
        return replace(nothing, slam=read_yaml(path, nothing.slam))
    given = read_yaml(path, replace(nothing, path=cast(Path, None)))
    kept: dict[str, Any] = {name: getattr(nothing, name) for name in ONE_RUN_ONLY}
    return replace(given, **(kept | ({"path": tyro.MISSING} if given.path is None else {})))


def _is_of_run(path: Path) -> bool:
    """Whether a file has settings of `run`."""
    of_run = {f.name for f in fields(RunArgs)} - {f.name for f in fields(SlamConfig)}
    return not of_run.isdisjoint(names_in_yaml(path))
