"""Errors that a person can act on: one line each, with the exit code that the command line returns."""

from vgslam.guards.wording import one_line


class VgslamError(Exception):
    """Base of all errors that end a command with one clear line and `exit_code`."""

    exit_code = 1

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(VgslamError):
    """The input (path, image, video, bag, truth) cannot be used as it is."""

    exit_code = 2


class CalibrationError(InputError):
    """The camera calibration is missing, malformed or does not fit the images."""


class ConfigError(VgslamError):
    """A configuration field or option is unknown or out of range."""

    exit_code = 2


class OutputError(VgslamError):
    """Results cannot be written (exists already, no space, no permission)."""

    exit_code = 3


class TrackingError(VgslamError):
    """No frame of the input could be given a pose."""

    exit_code = 4


class WeightsError(VgslamError):
    """Network weights cannot be found, read, or do not fit the configuration."""

    exit_code = 5


class WeightsNotFoundError(WeightsError):
    """Network weights are not here and have to be fetched; the message says what and from where."""


class MissingDependencyError(VgslamError):
    """An optional dependency is not installed; the message names the pip command."""

    exit_code = 6


class GraphError(VgslamError):
    """A pose graph is degenerate: empty, disconnected, or holds non-finite numbers."""

    exit_code = 7


class EvaluationError(VgslamError):
    """Estimate and reference cannot be compared."""

    exit_code = 8


class MapError(VgslamError):
    """A saved map cannot be opened: damaged, of another program, of a newer version, or in use."""

    exit_code = 9


class PluginError(VgslamError):
    """A plug-in of another package cannot be loaded or lacks its interface; the message names the package."""

    exit_code = 10
