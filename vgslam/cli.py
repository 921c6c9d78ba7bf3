"""The `vgslam` program: parses the command line, calls the command, turns errors into one line and an exit code."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import tyro

from vgslam.commands.adapt import AdaptArgs, run_adapt
from vgslam.commands.bench import BenchArgs, run_bench
from vgslam.commands.config import NO_PATH, ConfigArgs, note, run_config, run_defaults, settings_in
from vgslam.commands.demo import DemoArgs, run_demo
from vgslam.commands.doctor import DoctorArgs, run_doctor
from vgslam.commands.evaluate import EvalArgs, run_eval
from vgslam.commands.help_page import ALL, help_page
from vgslam.commands.live import LiveArgs, live_defaults, run_live
from vgslam.commands.map import MapArgs, run_map
from vgslam.commands.old_spellings import with_new_words
from vgslam.commands.relocalize import RelocalizeArgs, run_relocalize
from vgslam.commands.report import ReportArgs, run_report
from vgslam.commands.run import RunArgs, run_run
from vgslam.commands.train import TrainArgs, run_train
from vgslam.errors import ConfigError, VgslamError
from vgslam.session.stop_signals import exit_code

COMMANDS: dict[type, Callable[[Any], int]] = {
    RunArgs: run_run, EvalArgs: run_eval, BenchArgs: run_bench, DemoArgs: run_demo, TrainArgs: run_train,
    MapArgs: run_map, ReportArgs: run_report, DoctorArgs: run_doctor, ConfigArgs: run_config,
    LiveArgs: run_live, AdaptArgs: run_adapt, RelocalizeArgs: run_relocalize,
}  # fmt: skip

DESCRIPTION = """Monocular SLAM: poses for every frame. Completion for the shell:
vgslam --tyro-write-completion bash FILE (or zsh, tcsh), then `source FILE`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. A VgslamError becomes one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cv2.setNumThreads(1)
    try:
        page = help_page(arguments)
        if page is not None:
            print(page)
            return 0
        args = parse(["--help" if word == ALL else word for word in arguments])
        return COMMANDS[type(args)](args)
    except VgslamError as error:
        print(f"vgslam: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("vgslam: interrupted", file=sys.stderr)
        return exit_code(stop)
    except BrokenPipeError:
        return 141


def parse(arguments: list[str]) -> Any:
    """The arguments of the command that the words name. `--config FILE` gives the defaults of `--slam.*`."""
    arguments = with_new_words(arguments, note)
    file = _config_file(arguments)
    defaults = run_defaults(file)
    live = live_defaults(defaults, settings_in(file))
    run = tyro.conf.subcommand("run", default=defaults)
    path = {"path": NO_PATH} if defaults.path is tyro.MISSING else {}
    config = tyro.conf.subcommand("config", default=ConfigArgs(**(vars(defaults) | path)))
    commands = (
        Annotated[RunArgs, run]
        | Annotated[LiveArgs, tyro.conf.subcommand("live", default=live)]
        | Annotated[EvalArgs, tyro.conf.subcommand("eval")]
        | Annotated[BenchArgs, tyro.conf.subcommand("bench")]
        | Annotated[DemoArgs, tyro.conf.subcommand("demo")]
        | Annotated[MapArgs, tyro.conf.subcommand("map")]
        | Annotated[TrainArgs, tyro.conf.subcommand("train")]
        | Annotated[AdaptArgs, tyro.conf.subcommand("adapt")]
        | Annotated[RelocalizeArgs, tyro.conf.subcommand("relocalize")]
        | Annotated[ReportArgs, tyro.conf.subcommand("report")]
        | Annotated[DoctorArgs, tyro.conf.subcommand("doctor")]
        | Annotated[ConfigArgs, config]
    )
    return tyro.cli(commands, args=arguments, prog="vgslam", description=DESCRIPTION)


def _config_file(arguments: list[str]) -> Path | None:
    """The file that `--config` names, the last one where there are several."""
    found = None
    for i, word in enumerate(arguments):
        if word == "--config":
            if i + 1 == len(arguments):
                raise ConfigError("--config needs a YAML file")
            found = Path(arguments[i + 1])
        elif word.startswith("--config="):
            found = Path(word.split("=", 1)[1])
    return found


if __name__ == "__main__":
    sys.exit(main())
