"""The licences of weights: shown once to the person, recorded in every report."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vgslam.guards.documents import read_json


@dataclass(frozen=True)
class Licence:
    """The licence of weights."""

    name: str
    allows_commercial_use: bool | None  # None if that is not known
    terms: str  # one sentence for the person


UNKNOWN = Licence("unknown", None, "The licence of these weights is not known to vgslam: ask where you got them.")

VGGT_1B = Licence(
    "VGGT-1B, non-commercial", False,
    "The VGGT-1B weights are for non-commercial use only. For commercial use ask for access to "
    "facebook/VGGT-1B-Commercial on its Hugging Face page, run `hf auth login`, and pass "
    "--weights facebook/VGGT-1B-Commercial.",
)  # fmt: skip

VGGT_1B_COMMERCIAL = Licence(
    "VGGT-1B-Commercial", True,
    "The VGGT-1B-Commercial weights allow commercial use under the terms that you accepted on their Hugging Face page "
    "(an acceptable-use policy applies).",
)  # fmt: skip

VGGT_1B_FILE = Licence(
    "VGGT-1B or VGGT-1B-Commercial", None,
    "These weights have the structure of VGGT-1B: non-commercial use only, unless they are VGGT-1B-Commercial.",
)  # fmt: skip

APACHE_2 = Licence("Apache-2.0", True, "These weights are under the Apache License 2.0.")

CC_BY_NC_4 = Licence("CC-BY-NC-4.0", False, "These weights are under CC BY-NC 4.0: non-commercial use only.")

RANDOM = Licence("random weights", True, "The weights are RANDOM: every result is meaningless.")

BY_HUB_ID = {"facebook/VGGT-1B": VGGT_1B, "facebook/VGGT-1B-Commercial": VGGT_1B_COMMERCIAL}


def named(name: str) -> Licence:
    """The licence that a weights file names in its metadata."""
    return APACHE_2 if name == APACHE_2.name else Licence(name, None, f"These weights are under: {name}.")


def show_once(licence: Licence, sha256: str, ledger: Path, show: Callable[[str], None]) -> bool:
    """Shows the terms, and returns whether it did, unless `ledger` (a JSON file: hash -> licence) says that they were
    shown for these weights. One that cannot be read or written is no reason to fail."""
    try:
        known = read_json(ledger)
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    if known.get(sha256) == licence.name:
        return False
    show(licence.terms)
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.write_text(json.dumps(known | {sha256: licence.name}, indent=1))
    except OSError:
        pass
    return True
