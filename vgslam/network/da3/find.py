"""The published weights of Depth-Anything-3: where they are, what their licences allow, and what files say of
themselves, without torch."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgslam.errors import ConfigError, WeightsError, WeightsNotFoundError
from vgslam.guards.documents import parse_json, read_json
from vgslam.network import licence as licences
from vgslam.network.da3.config import ARCHITECTURES, Da3Config
from vgslam.network.licence import Licence
from vgslam.network.weight_files import (
    METADATA_ARCHITECTURE,
    METADATA_CONFIG,
    METADATA_LICENCE,
    WeightFiles,
    check_safetensors,
    find_files,
)
from vgslam.network.weights_info import UNBUILDABLE, HubUnreachableError, download, parse_hub_id

OWNER = "depth-anything"


@dataclass(frozen=True)
class Published:
    """Weights on the Hugging Face hub; revision and hash are None where the project has pinned none."""

    repo: str
    licence: Licence
    n_bytes: int | None = None
    revision: str | None = None  # commit of the repository
    sha256: str | None = None  # hash of model.safetensors


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
_NOT_HERE = ("da3-giant", "da3nested", "da3mono", "da3metric")  # likewise, those of another structure


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


ARCHITECTURE = "da3"
MAX_HEADER_BYTES = 4_000_000  # longest header of a file of these networks, many times that of the published ones
MAX_CONFIG_BYTES = 1_000_000  # longest config.json that is read


def find(
    name: str, source: str, sha256: str | None = None, accepted_licence: str | None = None,
    hub_cache: Path | None = None,
) -> tuple[WeightFiles, str | None, str | None]:  # fmt: skip
    """The files, the hub's repository they come from and the hash that they must have (`sha256`, or that of the
    published file), each None if there is none. accepted_licence: name of a licence for non-commercial use that was
    accepted. hub_cache: folder for downloads; None: that of Hugging Face."""
    path = Path(source).expanduser()
    hub_id = None if path.exists() else parse_hub_id(source)
    if hub_id is None:
        if not path.exists():
            raise WeightsNotFoundError(f"{source}: no such file or folder of weights; {how_to_fetch(name)}")
        return find_files(path), None, sha256
    repo, revision = hub_id
    require_acceptance(repo, accepted_licence)
    refuse_other_structures(repo)
    pinned = next((p for p in PUBLISHED.values() if p.repo.lower() == repo.lower()), None)
    is_pinned = pinned is not None and revision in (None, pinned.revision)
    if is_pinned and pinned is not None:
        revision = pinned.revision
    folder = _fetch(name, repo, revision, hub_cache)
    expected = pinned.sha256 if is_pinned and pinned is not None else None
    return find_files(folder), repo, sha256 or expected


def _fetch(name: str, repo: str, revision: str | None, cache: Path | None) -> Path:
    """The folder of a repository: from the cache alone where a pinned commit is whole there, else downloaded."""
    if revision is not None:
        try:
            return download(repo, revision, cache, only_cached=True)
        except WeightsError:
            pass  # not there, or only half
    client = logging.getLogger("huggingface_hub")
    before = client.level
    client.setLevel(logging.ERROR)  # it would tell of every attempt
    try:
        return download(repo, revision, cache)
    except HubUnreachableError as error:
        raise WeightsNotFoundError(f"{repo} is not cached and its hub not reached: {how_to_fetch(name)}") from error
    finally:
        client.setLevel(before)


def check_headers(found: WeightFiles) -> dict[str, str]:
    """The files' metadata; WeightsError for a damaged file or a header that is too long for these networks."""
    metadata: dict[str, str] = {}
    for path in found.files:
        if path.suffix == ".safetensors":
            metadata |= check_safetensors(path, MAX_HEADER_BYTES)
    return metadata


def config_of(found: WeightFiles, metadata: dict[str, str], asked: Da3Config) -> Da3Config:
    """The architecture that the file names, else the config.json beside it, else what was asked for."""
    where = found.files[0]
    kind = metadata.get(METADATA_ARCHITECTURE, ARCHITECTURE)
    if kind != ARCHITECTURE:
        raise WeightsError(f"{where} holds weights of '{kind}' and not of Depth-Anything-3")
    if METADATA_CONFIG in metadata:
        try:
            return Da3Config.from_dict(parse_json(metadata[METADATA_CONFIG]))
        except UNBUILDABLE as error:
            raise WeightsError(f"{where} names a configuration that cannot be read: {error}") from error
    if found.config is None:
        return asked
    name = _model_name(found.config)
    if name not in ARCHITECTURES:
        raise WeightsError(
            f"{found.config}: the network '{name}' cannot be run here; use one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def _model_name(path: Path) -> str:
    """The architecture that a published config.json names."""
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(f"{path}: {path.stat().st_size} bytes are too many for a configuration")
    try:
        content: Any = read_json(path, MAX_CONFIG_BYTES)
        name = content["model_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise WeightsError(f"{path} names no network of Depth-Anything-3 (model_name): download it again") from None
    if not isinstance(name, str):
        raise WeightsError(f"{path}: model_name must be text")
    return name


def named_licence(metadata: dict[str, str]) -> licences.Licence:
    name = metadata.get(METADATA_LICENCE)
    return licences.UNKNOWN if name is None else licences.named(name)
