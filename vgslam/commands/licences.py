"""`vgslam doctor --licences`: what the program is made of, and the terms of each part."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

from rich.console import Console
from rich.table import Table

from vgslam.commands.checks import Check
from vgslam.guards.wording import say

STRONG_COPYLEFT = re.compile(r"(?<![LA-Z])A?GPL|GNU (Affero )?General Public", re.IGNORECASE)
"""Licences whose terms reach the product as a whole. The Lesser GPL is none of them."""
NON_COMMERCIAL = re.compile(r"non-?commercial|CC[- ]BY[- ]NC", re.IGNORECASE)
NOTES = {
    "av": "its wheels hold FFmpeg (LGPL-3.0) and beside it libx264 and libx265 (GPL-2.0), which vgslam never calls: "
    "whoever ships the wheel ships them; build PyAV against an FFmpeg of your own to leave them out",
    "opencv-python-headless": "its wheels hold FFmpeg (LGPL-2.1)",
}
"""What the licence of a package does not say of its wheel."""
REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")
PACKAGE_XML_LICENCE = re.compile(r"<license[^>]*>([^<]+)</license>")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class LicensedPart:
    """A package, and its terms."""

    name: str
    version: str
    licence: str
    extra: str  # the extra that brings it, or empty for one that is always there
    note: str = ""

    @property
    def is_free_for_products(self) -> bool:
        """Whether a product may hold it under terms of its own."""
        return not (STRONG_COPYLEFT.search(self.licence) or NON_COMMERCIAL.search(self.licence))


def print_licences(weights: Sequence[Check], as_json: bool) -> int:
    """Prints the parts and the weights; returns 0."""
    found = parts()
    if as_json:
        rows = [asdict(p) | {"is_free_for_products": p.is_free_for_products} for p in found]
        terms = [{"name": w.name, "terms": w.advice} for w in weights]
        say(json.dumps({"packages": rows, "weights": terms}, indent=2))
        return 0
    table = Table("package", "version", "licence", "comes with", box=None, pad_edge=False)
    for p in found:
        table.add_row(p.name, p.version, p.licence, f"extra {p.extra}" if p.extra else "vgslam")
    console = Console()
    console.print(table)
    for p in found:
        if p.note:
            console.print(f"{p.name}: {p.note}")
    bound = sorted({f"{p.name} ({p.licence}; extra {p.extra or 'none'})" for p in found if not p.is_free_for_products})
    console.print("strong copyleft or non-commercial: " + (", ".join(bound) or "none"))
    for w in weights:
        console.print(f"weights {w.name}: {w.advice or w.found}")
    return 0


def parts() -> list[LicensedPart]:
    """vgslam's dependencies, and theirs, as they are installed: those that are always there, then the extras'."""
    core = _reached(["vgslam"])
    found = [part(name) for name in sorted(core - {"vgslam"})]
    for extra in sorted(metadata.metadata("vgslam").get_all("Provides-Extra") or []):
        own = _reached(_named("vgslam", extra)) - core
        found += [part(name, extra) for name in sorted(own)]
    return found


def part(name: str, extra: str = "") -> LicensedPart:
    """An installed package. Raises PackageNotFoundError."""
    about = metadata.metadata(name)
    licence = licence_of(about)
    if licence == UNKNOWN:
        licence = _of_package_xml(name) or UNKNOWN
    return LicensedPart(name, about["Version"], licence, extra, NOTES.get(name, ""))


def _of_package_xml(name: str) -> str:
    """The licences that the package.xml of a package of ROS states, '' without one."""
    files = [f for f in metadata.files(name) or [] if f.name == "package.xml"]
    text = files[0].read_text() if files else ""
    return ", ".join(dict.fromkeys(t.strip() for t in PACKAGE_XML_LICENCE.findall(text)))


def licence_of(about: metadata.PackageMetadata) -> str:
    """The licence expression, or what the classifiers say, or the first line of the licence field."""
    if about.get_all("License-Expression"):
        return str(about["License-Expression"])
    said = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License :: ")]
    if said := [s for s in said if s != "OSI Approved"]:
        return ", ".join(said)
    field = "".join(about.get_all("License") or []).strip().splitlines()
    return field[0][:80] if field else UNKNOWN


def _named(package: str, extra: str | None) -> list[str]:
    """Installed packages that a package asks for: always, or for an extra."""
    found = []
    for line in metadata.requires(package) or []:
        wanted, _, marker = line.partition(";")
        asks = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        match = REQUIREMENT.match(wanted.strip())
        if match and (asks.group(1) if asks else None) == extra and _is_installed(match[1]):
            found.append(_normal(match[1]))
    return found


def _reached(names: list[str]) -> set[str]:
    """These packages, and all that they always bring."""
    reached: set[str] = set()
    queue = [_normal(n) for n in names]
    while queue:
        name = queue.pop()
        if name not in reached:
            reached.add(name)
            queue += _named(name, None)
    return reached


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
