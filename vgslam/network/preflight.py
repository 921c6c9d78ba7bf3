"""What can be said of a network before it is opened: its kind, its options, its weights. Nothing here loads torch.

A network that may never be asked is opened at the first question; what is wrong is said at the start all the same.
Where only torch can tell (a GPU, weights that name no structure) it has to be opened.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vgslam.byte_size import parse_size
from vgslam.errors import ConfigError
from vgslam.network.da3.config import ARCHITECTURES
from vgslam.network.da3.find import ARCHITECTURE as DA3
from vgslam.network.da3.find import (
    PUBLISHED,
    check_headers,
    config_of,
    find,
    licence_of,
    named_licence,
    require_acceptance,
)
from vgslam.network.options import NetworkOptions
from vgslam.network.weight_files import METADATA_ARCHITECTURE, WeightFiles, find_files, read_header, sha256_of
from vgslam.network.weights_info import ARCHITECTURE as VGGT
from vgslam.network.weights_info import RANDOM, WeightsInfo, find_config, find_path, random_seed
from vgslam.network.weights_info import licence_of as licence_of_vggt

KINDS = (VGGT, *PUBLISHED)  # the kinds of network that are known here; others belong to other packages

Show = Callable[[str], None]


def check(wanted: NetworkOptions, show: Show) -> WeightsInfo | None:
    """What is known of the weights, if nothing else can be wrong with them and the options; None if the network must be
    opened to know. Fetches published weights. `show` receives their terms, once. Raises ConfigError, WeightsError."""
    prefix, _, rest = wanted.chosen_weights.partition(":")
    if prefix != wanted.chosen_weights and prefix in KINDS:
        wanted = replace(wanted, name=prefix, weights=rest)
    elif prefix not in (wanted.chosen_weights, RANDOM) and not Path(wanted.chosen_weights).exists():
        return None  # a network of another package, or nothing
    if wanted.name not in KINDS or wanted.needs_torch:
        return None
    if wanted.gpu_memory is not None:
        parse_size(wanted.gpu_memory)
    if wanted.name == VGGT and wanted.size_px is not None:
        raise ConfigError("the size of the images can be chosen for Depth-Anything-3 only: --network da3-small")
    if wanted.name != VGGT:
        require_acceptance(wanted.name, wanted.accepted_licence)
    if random_seed(wanted.chosen_weights) is not None:
        info: WeightsInfo | None = WeightsInfo.of_random(wanted.chosen_weights, 0, wanted.name)
    else:
        info = _vggt(wanted) if wanted.name == VGGT else _da3(wanted)
    if info is not None:
        info.tell_terms(show)
    return info


def _vggt(wanted: NetworkOptions) -> WeightsInfo | None:
    source = wanted.chosen_weights
    path, repo = find_path(source)
    found = find_files(path)
    if not _are_safetensors(found):
        return None
    metadata, n = _read(found)
    config = find_config(metadata, found.config)
    if config is None or metadata.get(METADATA_ARCHITECTURE) != VGGT:
        return None
    terms = licence_of_vggt(repo, metadata, config)
    return WeightsInfo(source, sha256_of(found.files), terms, n, found.names)


def _da3(wanted: NetworkOptions) -> WeightsInfo | None:
    source = wanted.chosen_weights or PUBLISHED[wanted.name].repo
    found, repo, expected = find(wanted.name, source, accepted_licence=wanted.accepted_licence)
    metadata = check_headers(found)
    config = config_of(found, metadata, ARCHITECTURES[wanted.name])
    digest = sha256_of(found.files)
    is_pinned = digest in {p.sha256 for p in PUBLISHED.values()} and digest == (expected or digest)
    is_asked_for = config.name == wanted.name or config.name not in ARCHITECTURES
    is_named = metadata.get(METADATA_ARCHITECTURE) == DA3 and is_asked_for
    if not (_are_safetensors(found) and (is_named or is_pinned)) or (expected is not None and not is_pinned):
        return None
    require_acceptance(config.name, wanted.accepted_licence)
    terms = licence_of(repo, digest) or named_licence(metadata)
    return WeightsInfo(source, digest, terms, _read(found)[1], found.names, architecture=config.name)


def _are_safetensors(found: WeightFiles) -> bool:
    return all(f.suffix == ".safetensors" for f in found.files)


def _read(found: WeightFiles) -> tuple[dict[str, str], int]:
    """The files' metadata, and how many numbers they hold."""
    headers = [read_header(f) for f in found.files]
    metadata: dict[str, str] = {}
    for header in headers:
        metadata |= header.metadata
    return metadata, sum(h.n_parameters for h in headers)
