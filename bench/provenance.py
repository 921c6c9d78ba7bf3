"""The origin of a recorded figure of `python -m bench`."""

import shlex
import sys
from typing import Any

from vgslam.results import environment


def provenance() -> dict[str, Any]:
    """The origin as in `vgslam.results.environment`, with the command as it is given."""
    return environment.provenance() | {"command": shlex.join(["python", "-m", "bench", *sys.argv[1:]])}
