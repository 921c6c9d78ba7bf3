"""Options of the recordings of a fleet: those of `vgslam run`, the same for all or of each, and the keys they make."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tyro
import yaml

from vgslam.commands.config import ONE_RUN_ONLY, run_defaults
from vgslam.commands.run import RunArgs, source_options
from vgslam.config import to_plain
from vgslam.errors import ConfigError, InputError, MapError, VgslamError
from vgslam.fleet import storage
from vgslam.fleet.folder import RESULTS, FleetFolder
from vgslam.fleet.identity import Digests, key_of, program_id
from vgslam.fleet.items import Item
from vgslam.fleet.task import Task, TaskLimits
from vgslam.fleet.work import MAP
from vgslam.store.manifest import MANIFEST, read_manifest

OF_A_RECORDING = (
    "calib", "fov_deg", "mask", "truth", "source", "start", "end", "stride", "max_frames", "topic", "fps", "stream",
    "network", "weights", "scale_from", "gravity", "metric", "no_refine", "refine_seconds", "fixed_calib", "memory",
)  # fmt: skip
"""The options of `vgslam run` that may differ from recording to recording. None of them writes anywhere."""
OF_THE_FLEET = ("out", "overwrite", "viewer", "poses", "json", "map", "localize", "realtime", "config", "quiet")
"""Options of `vgslam run` that a fleet sets itself."""
FILES = ("calib", "mask", "truth", "adapter", "weights")
"""Options whose value may be a file: its content is part of the key, not its name."""
NOT_IN_SETTINGS = (*ONE_RUN_ONLY, "path", "map", "localize")
LONGEST_REFINEMENT_S = 3600.0
"""Time for the adjustment of the map where none is given: what comes out must not depend on how busy a node is."""


def common_args(run_options: str, config: Path | None) -> RunArgs:
    """The options of all recordings. Raises ConfigError for those that a fleet sets itself."""
    defaults = run_defaults(config)
    try:
        words = shlex.split(run_options)
    except ValueError as error:
        raise ConfigError(f"--run-options: {error}") from error
    args = tyro.cli(RunArgs, args=["-", *words], prog="--run-options", default=defaults)
    taken = next((n for n in OF_THE_FLEET if getattr(args, n) != getattr(defaults, n)), None)
    if taken is not None:
        word = taken.replace("_", "-")
        raise ConfigError(f"--run-options: --{word} cannot be given here: each recording has its own")
    if args.adapt == "background":
        raise ConfigError("--run-options: --adapt background depends on the clock; use --adapt sync")
    return args


def args_of(item: Item, common: RunArgs, is_localizing: bool) -> RunArgs:
    """The options of a recording, checked, with absolute paths. Raises VgslamError for what does not work."""
    hints = get_type_hints(RunArgs)
    changes: dict[str, Any] = {name: _read(name, text, hints[name], item.base) for name, text in item.options.items()}
    for name in FILES:
        value = changes.get(name, getattr(common, name))
        if isinstance(value, Path):
            value = value.expanduser().resolve()
            if not _file(name, value).is_file():
                raise InputError(f"{value}: no such file ({name})")
            changes[name] = value
    for name in ("scale_from", "gravity"):
        base = item.base if name in item.options else Path()
        changes[name] = _with_absolute_file(changes.get(name, getattr(common, name)), base)
    args = replace(common, **changes)
    if args.refine_seconds is None:
        args = replace(args, refine_seconds=LONGEST_REFINEMENT_S)
    source_options(args)
    replace(args, localize=is_localizing).check()
    return args


def _file(name: str, value: Path) -> Path:
    """The file that an option names; of --calib FILE#CAMERA the part before the mark, where no file has the mark."""
    before = str(value).rpartition("#")[0]
    return Path(before) if name == "calib" and before and not value.is_file() else value


def _read(name: str, text: str, hint: Any, base: Path) -> Any:
    """The value of an option that stands as text in a list. Raises ConfigError."""
    kinds = [k for k in (get_args(hint) or (hint,)) if k is not type(None)]
    try:
        if Path in kinds:
            return base / Path(text).expanduser()
        if bool in kinds:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        return kinds[0](text)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{name}: expected {kinds[0].__name__}, got {text!r}") from error


_WITH_FILE = re.compile(r"(positions|accelerometer):([^=]+)(=.*)?")


def _with_absolute_file(text: str | None, base: Path) -> str | None:
    """--scale-from or --gravity with the absolute path of the file that it names. Raises InputError."""
    match = None if text is None else _WITH_FILE.fullmatch(text)
    if match is None:
        return text
    file = (base / Path(match[2]).expanduser()).resolve()
    if not file.is_file():
        raise InputError(f"{file}: no such file ({match[1]})")
    return f"{match[1]}:{file}{match[3] or ''}"


@dataclass(frozen=True)
class Orders:
    """What makes tasks of recordings. The digests of the folder are kept between runs."""

    folder: FleetFolder
    common: RunArgs
    limits: TaskLimits
    digests: Digests
    map: str | None = None
    map_identity: str | None = None
    max_lost_frames: int | None = None
    cache: str | None = None

    def task(self, item: Item) -> Task:
        """The task of a recording. Raises VgslamError for one that cannot be worked on."""
        args = args_of(item, self.common, self.map is not None)
        if storage.is_address(item.where):
            recording = storage.retried(lambda: storage.identity(item.where), self.limits.retries)
        else:
            recording = self.digests.of(Path(item.where))
        key = key_of({
            "program": program_id(), "recording": recording, "settings": self._settings_by_content(args),
            "map": self.map_identity, "max_lost_frames": self.max_lost_frames,
        })  # fmt: skip
        settings = yaml.safe_dump(_settings(args), sort_keys=False)
        return Task(
            key, item.name, item.where, settings, str(self.folder.path), self.folder.tag, program_id(), self.limits,
            self.map, self.max_lost_frames, cache=self.cache,
        )  # fmt: skip

    def _settings_by_content(self, args: RunArgs) -> str:
        """The settings, each file in them replaced by its digest."""
        plain = _settings(args)
        for name in FILES:
            if plain[name] is not None and Path(plain[name]).exists():
                plain[name] = self.digests.of(Path(plain[name]))
            elif name == "calib" and plain[name] is not None:  # FILE#CAMERA
                file = _file(name, Path(plain[name]))
                plain[name] = f"{self.digests.of(file)}{str(plain[name]).removeprefix(str(file))}"
        for name in ("scale_from", "gravity"):
            match = _WITH_FILE.fullmatch(plain[name] or "")
            if match is not None:
                plain[name] = f"{match[1]}:{self.digests.of(Path(match[2]))}{match[3] or ''}"
        return yaml.safe_dump(plain, sort_keys=True)


def _settings(args: RunArgs) -> dict[str, Any]:
    return {k: v for k, v in to_plain(args).items() if k not in NOT_IN_SETTINGS}


def known_map(where: str) -> tuple[str, str]:
    """The map to localize in, absolute, and what tells it from others; of a fleet's folder the only one in it. Raises
    MapError, or InputError for an address that cannot be read."""
    if storage.is_address(where):
        return where, storage.identity(where)
    path = Path(where).resolve()
    inside = [] if (path / MANIFEST).exists() else sorted(path.glob(f"{RESULTS}/*/{MAP}"))
    if len(inside) > 1:
        raise MapError(f"{where}: holds {len(inside)} maps; name one ({inside[0]}), or make one of them: fleet merge")
    if inside:
        path = inside[0]
    return str(path), read_manifest(path).state_sha256


def tasks_of(items: Sequence[Item], orders: Orders) -> tuple[list[Item], dict[str, Task]]:
    """The recordings, those that cannot be worked on with their trouble, and the tasks by the recordings' names."""
    told, tasks = [], {}
    for item in items:
        trouble = item.trouble
        if not trouble:
            try:
                tasks[item.name] = orders.task(item)
            except VgslamError as error:
                trouble = str(error)
        told.append(replace(item, trouble=trouble))
    orders.digests.save()
    return told, tasks


assert {f.name for f in fields(RunArgs)} >= {*OF_A_RECORDING, *OF_THE_FLEET, *FILES}
