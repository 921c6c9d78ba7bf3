"""The published Depth-Anything-3 weights: where they are, what their files must be, what their licences allow."""

from dataclasses import dataclass

from vgslam.errors import ConfigError
from vgslam.network import licence as licences
from vgslam.network.licence import Licence

OWNER = "depth-anything"


@dataclass(frozen=True)
class Published:
    """Weights on the Hugging Face hub; revision and hash are None where the project has pinned none."""

    repo: str
    licence: Licence
    n_bytes: int | None = None
    revision: str | None = None
    """Commit of the repository."""
    sha256: str | None = None
    """Hash of model.safetensors."""


PUBLISHED = {
    "da3-small": Published(
        f"{OWNER}/DA3-SMALL", licences.APACHE_2, 137_248_940, "e08cab65ca0ec38e7826075418411ab90cab4da3",
        "364492e38a3a06d221ac75da7f6621ada3f2361cd24fde11ba79091e9f40efcf",
    ),
    "da3-base": Published(
        f"{OWNER}/DA3-BASE", licences.APACHE_2, 541_518_028, "f4a6c9b3c95e41c82048423d3493a81ec3fa810e",
        "e01067dc1659613083d9145a9a2547ccdbe6ccbbf83c4fe7b3e8a4e2bdae78b5",
    ),
    "da3-large": Published(f"{OWNER}/DA3-LARGE", licences.CC_BY_NC_4),
}  # fmt: skip
"""By the names of the architectures."""

_NON_COMMERCIAL = ("da3-large", "da3-giant", "da3nested")
"""How the names of repositories and architectures under CC BY-NC 4.0 begin, in small letters."""
_NOT_HERE = ("da3-giant", "da3nested", "da3mono", "da3metric")
"""Likewise, those of another structure."""


def is_non_commercial(name: str) -> bool:
    """Whether a repository's ('owner/name') or an architecture's name is of weights under CC BY-NC 4.0."""
    return name.rpartition("/")[2].lower().startswith(_NON_COMMERCIAL)


def require_acceptance(name: str, accepted: str | None) -> None:
    """ConfigError for weights under CC BY-NC 4.0, unless the person has accepted that by its name."""
    if is_non_commercial(name) and accepted != licences.CC_BY_NC_4.name:
        raise ConfigError(
            f"{name} is under CC BY-NC 4.0, for non-commercial use only: add --accept-licence "
            f"{licences.CC_BY_NC_4.name} if that suits your use, or take da3-small or da3-base (Apache-2.0)"
        )


def refuse_other_structures(repo: str) -> None:
    """ConfigError for a repository whose network cannot be run here, before anything is downloaded."""
    if repo.rpartition("/")[2].lower().startswith(_NOT_HERE):
        raise ConfigError(f"{repo} is of another structure and cannot be run here; use one of {', '.join(PUBLISHED)}")


def licence_of(repo: str | None, sha256: str) -> Licence | None:
    """The licence of a repository, or of a file with a published hash; None if neither is known."""
    for published in PUBLISHED.values():
        if sha256 == published.sha256 or (repo is not None and repo.lower() == published.repo.lower()):
            return published.licence
    return licences.CC_BY_NC_4 if repo is not None and is_non_commercial(repo) else None


def how_to_fetch(name: str) -> str:
    """What a person without a network has to fetch, and what to do with it."""
    published = PUBLISHED[name]
    size = "" if published.n_bytes is None else f" ({published.n_bytes / 1e6:.0f} MB)"
    return (
        f"fetch model.safetensors{size} and config.json from https://huggingface.co/{published.repo} and pass their "
        "folder with --weights FOLDER"
    )
