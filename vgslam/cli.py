"""The `vgslam` program: parses the command line, calls the command, turns errors into one line and an exit code.

Only the command that is called is imported, and nothing for `--help` and `--version`.
"""

import difflib
import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Union

from vgslam import __version__
from vgslam.errors import ConfigError, InputError, MissingDependencyError, OutputError, VgslamError
from vgslam.guards.wording import first_line, say
from vgslam.session.stop_signals import came_of_interrupt, exit_code

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # nothing can be written there
CLOSED_PIPE = 141  # exit code where nobody reads standard output any more: that of a program that SIGPIPE ends


@dataclass(frozen=True)
class Command:
    """One command of the program."""

    module: str  # its module in `vgslam.commands`
    arguments: str  # the dataclass of its arguments
    function: str  # the function that carries it out
    summary: str  # what it does

    def load(self) -> tuple[type, Callable[[Any], int]]:
        """The dataclass of the arguments and the function that takes one."""
        module = import_module(f"vgslam.commands.{self.module}")
        return getattr(module, self.arguments), getattr(module, self.function)


COMMANDS = {
    "run": Command("run_in_pieces", "RunCommandArgs", "run_command", "poses for every frame of a sequence"),
    "live": Command("live", "LiveArgs", "run_live", "poses from a camera or a stream, as they happen"),
    "eval": Command("evaluate", "EvalArgs", "run_eval", "score a trajectory against a reference"),
    "bench": Command("bench", "BenchArgs", "run_bench", "run and score many sequences"),
    "demo": Command("demo", "DemoArgs", "run_demo", "track the sequence that comes with the program"),
    "map": Command("map", "MapArgs", "run_map", "saved maps: info, check, merge, scale, refine, export"),
    "fleet": Command("fleet", "FleetArgs", "run_fleet", "many recordings: map, localize, merge; on a cluster too"),
    "train": Command("train", "TrainArgs", "run_train", "train a network as a recipe says"),
    "adapt": Command("adapt", "AdaptArgs", "run_adapt", "adapt a network to a recording"),
    "relocalize": Command("relocalize", "RelocalizeArgs", "run_relocalize", "find images in a saved map"),
    "calibrate": Command("calibrate", "CalibrateArgs", "run_calibrate", "a camera from pictures of a board"),
    "report": Command("report", "ReportArgs", "run_report", "one HTML page of a run"),
    "compare": Command("compare", "CompareArgs", "run_compare", "several runs side by side"),
    "doctor": Command("doctor", "DoctorArgs", "run_doctor", "examine the installation"),
    "config": Command("config", "ConfigArgs", "run_config", "print the settings of a run, to be changed and used"),
}

DESCRIPTION = """Monocular SLAM: poses for every frame. Completion for the shell:
vgslam --tyro-write-completion bash FILE (or zsh, tcsh), then `source FILE`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. A VgslamError becomes one line on stderr, and so does what the system
    says of a path (its name is too long, nobody may read it, links lead in a circle) and a package that cannot be
    loaded."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] in (["-h"], ["--help"]):
            print(help_text())
            return 0
        if arguments == ["--version"]:
            say(f"vgslam {__version__}")
            return 0
        return _run(arguments)
    except VgslamError as error:
        say(f"vgslam: {error}", is_error=True)
        return error.exit_code
    except KeyboardInterrupt as stop:
        say("vgslam: interrupted", is_error=True)
        return exit_code(stop)
    except BrokenPipeError:
        return CLOSED_PIPE
    except (OSError, RuntimeError, ImportError) as error:
        return _told_of_surroundings(error)


def _told_of_surroundings(error: OSError | RuntimeError | ImportError) -> int:
    """The exit code, once the line is printed, of an error that is not one of the program's own. Raises all others."""
    if came_of_interrupt(error):
        say("vgslam: interrupted", is_error=True)
        return exit_code(KeyboardInterrupt())
    if isinstance(error, OSError) and error.filename is not None:
        say(f"vgslam: {error.filename}: cannot be used ({error.strerror}); check the path and its permissions",
            is_error=True)  # fmt: skip
        return OutputError.exit_code if error.errno in FULL else InputError.exit_code
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] != __package__:
        say(f"vgslam: a package that is needed cannot be loaded ({first_line(error)}); install it again; vgslam doctor "
            "says what works", is_error=True)  # fmt: skip
        return MissingDependencyError.exit_code
    if str(error).startswith("Symlink loop"):  # so Python calls links in a circle up to 3.12
        say(f"vgslam: {error}; check the path", is_error=True)
        return InputError.exit_code
    raise error


def help_text() -> str:
    """The text of `vgslam --help`."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: vgslam COMMAND ...  |  vgslam --version", "", DESCRIPTION, "", "commands:", *rows, "",
         "vgslam COMMAND --help explains a command."]
    )  # fmt: skip


def _run(arguments: list[str]) -> int:
    from vgslam.commands.help_page import ALL, help_page

    page = help_page(arguments)
    if page is not None:
        print(page)
        return 0
    args = parse(["--help" if word == ALL else word for word in arguments])
    import cv2

    cv2.setNumThreads(1)
    return COMMANDS[arguments[0]].load()[1](args)


def parse(arguments: list[str]) -> Any:
    """The arguments of the command that the first word names. `--config FILE` gives the defaults of `run`, `live` and
    `config`. Raises ConfigError if there is no such command."""
    name = arguments[0] if arguments else ""
    if name.startswith("--tyro-"):
        return _parse_any(arguments)
    if name not in COMMANDS:
        raise ConfigError(_no_command(name))
    import tyro

    from vgslam.commands.old_spellings import with_new_words

    arguments = with_new_words(arguments, lambda line: say(f"vgslam: {line}", is_error=True))
    defaults = _defaults(_config_file(arguments)) if name in ("run", "live", "config") else {}
    default = defaults.get(name, tyro.MISSING_NONPROP)
    return tyro.cli(COMMANDS[name].load()[0], args=arguments[1:], prog=f"vgslam {name}", default=default)


def _parse_any(arguments: list[str]) -> Any:
    """All commands at once, as the completion of the shell needs them."""
    import tyro

    defaults = dict.fromkeys(COMMANDS, tyro.MISSING_NONPROP) | _defaults(None)
    kinds = [
        Annotated[command.load()[0], tyro.conf.subcommand(name, default=defaults[name])]
        for name, command in COMMANDS.items()
    ]
    any_of_them: Any = Union[tuple(kinds)]  # noqa: UP007
    return tyro.cli(any_of_them, args=arguments, prog="vgslam", description=DESCRIPTION)


def _no_command(name: str) -> str:
    if not name:
        return f"give a command, one of {', '.join(COMMANDS)}; vgslam --help explains them"
    if name.startswith("-"):
        return f"{name}: options come after the command, as in vgslam run {name}; vgslam --help explains the commands"
    near = difflib.get_close_matches(name, COMMANDS, 1)
    advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"no command {name!r}; {advice}"


def _defaults(file: Path | None) -> dict[str, Any]:
    """The defaults of `run`, `live` and `config`, changed by a YAML file."""
    import tyro

    from vgslam.commands.config import NO_PATH, ConfigArgs, run_defaults
    from vgslam.commands.live import live_defaults
    from vgslam.commands.run_in_pieces import RunCommandArgs
    from vgslam.config import names_in_yaml

    run = run_defaults(file)
    path = {"path": NO_PATH} if run.path is tyro.MISSING else {}
    return {
        "run": RunCommandArgs(**vars(run)), "live": live_defaults(run, names_in_yaml(file)),
        "config": ConfigArgs(**(vars(run) | path)),
    }  # fmt: skip


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
