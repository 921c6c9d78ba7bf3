"""Options that have been renamed: the old names still work, with a line that says so."""

from collections.abc import Callable, Sequence

from vgslam.errors import ConfigError

PREDICTOR = {"sfm": "none", "vggt": "vggt"}  # `--predictor`: what each of its words is for `--network`
_COMMANDS = ("run", "live", "config")


def with_new_words(arguments: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """The words of a command line as they are spelled now; a line to `say` for each old one, but with --quiet.
    ConfigError for an old option whose value is not understood, or that stands beside the new one."""
    words = list(arguments)
    if not words or words[0] not in _COMMANDS:
        return words
    options = [word.partition("=")[0] for word in words[: words.index("--") if "--" in words else None]]
    if "--predictor" in options and "--network" in options:
        raise ConfigError("both --network and --predictor, which is its old name, are given; leave --predictor out")
    found: list[str] = []
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=")
        if word == "--":
            return [*found, word, *words]
        if name != "--predictor":
            found.append(word)
            continue
        if "=" not in word:
            value = words.pop(0) if words else ""
        found += ["--network", _network(value, "--predictor")]
        if "--quiet" not in options:
            say(f"--predictor {value} is called --network {found[-1]} now")
    return found


def _network(value: str, where: str) -> str:
    if value not in PREDICTOR:
        raise ConfigError(f"{where}: expected one of {', '.join(PREDICTOR)}, got {value!r}; it is called network now")
    return PREDICTOR[value]
