"""Loading Depth-Anything-3: `--weights hub-id | file | folder | random`, strictly, with hash and licence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vgslam.errors import WeightsError
from vgslam.network.da3.config import ARCHITECTURES, Da3Config
from vgslam.network.da3.find import (
    ARCHITECTURE,
    PUBLISHED,
    check_headers,
    config_of,
    find,
    licence_of,
    named_licence,
    require_acceptance,
)
from vgslam.network.da3.network import Da3, random_network, skeleton
from vgslam.network.precision import hold_in
from vgslam.network.weight_files import WeightFiles, header_of, read_tensors, sha256_of, write_tensors
from vgslam.network.weights import FileOptions, built, check_fit, fill, n_parameters
from vgslam.network.weights_info import WeightsInfo, random_seed


@dataclass(frozen=True)
class LoadedDa3:
    """A network ready to run, and where its weights come from."""

    network: Da3
    info: WeightsInfo


@dataclass(frozen=True)
class Da3LoadOptions(FileOptions):
    """How weights are loaded."""

    has_rays: bool = False
    """Load the ray branch too."""
    accepted_licence: str | None = None
    """Name of a licence for non-commercial use that the person has accepted."""
    config: Da3Config | None = None
    """Architecture of random weights and of files that name none; None: the one that is asked for."""


def load(
    name: str, source: str = "", options: Da3LoadOptions | None = None, show: Callable[[str], None] | None = None
) -> LoadedDa3:
    """Weights of the architecture `name` ('da3-small') from a file, a folder, a hub id, 'random[:seed]' or, '', from
    where they are published. The state dict must fit exactly. `show` receives the licence's terms, once per weights.
    Raises WeightsNotFoundError saying what to fetch, WeightsError for a file that does not fit, is damaged or has
    another hash, ConfigError for a licence that has to be accepted."""
    options = options or Da3LoadOptions()
    seed = random_seed(source)
    if seed is not None:
        return _random(name, source, seed, options, show)
    source = source or PUBLISHED[name].repo
    found, repo, expected = find(name, source, options.sha256, options.accepted_licence, options.hub_cache)
    metadata = check_headers(found)
    config = config_of(found, metadata, options.config or ARCHITECTURES[name])
    whole = built(lambda: skeleton(config), f"{found.files[0]} names")
    if config.name != name and config.name in ARCHITECTURES:
        raise WeightsError(f"{source} holds weights of {config.name} and not of {name}: use --network {config.name}")
    require_acceptance(config.name, options.accepted_licence)
    digest = sha256_of(found.files)
    if expected is not None and digest != expected.lower():
        raise WeightsError(
            f"{found.files[0]}: its SHA-256 is {digest}, expected {expected}: delete it and fetch it again"
        )
    network = _filled(whole, found, options, source)
    terms = licence_of(repo, digest) or named_licence(metadata)
    info = WeightsInfo(source, digest, terms, n_parameters(network), found.names, architecture=config.name)
    info.tell_terms(show, options.ledger)
    return LoadedDa3(network, info)


def save(network: Da3, path: Path, licence: str) -> None:
    """Writes weights as the published files have them, with the configuration in the header, atomically.
    OutputError."""
    left_out = aliases(network)
    metadata = header_of(ARCHITECTURE, network.config.to_dict(), licence)
    metadata |= {PREFIX + alias: PREFIX + kept for alias, kept in left_out.items()}
    write_tensors(path, {PREFIX + k: v for k, v in network.state_dict().items() if k not in left_out}, metadata)


def _filled(whole: Da3, found: WeightFiles, options: Da3LoadOptions, source: str) -> Da3:
    """The network with the tensors of the files, which must be those of `whole`; without rays that are not wanted."""
    tensors, _ = read_tensors(found.files)
    where, config = str(found.files[0]), whole.config
    state = own_names(tensors, where, whole)
    check_fit(state, whole, where)
    wrong = [k for k, v in state.items() if not v.is_floating_point()]
    if wrong:
        raise WeightsError(f"{where}: {wrong[0]} is of type {state[wrong[0]].dtype}, not floating point")
    wanted: dict[str, Tensor] = state
    if config.has_rays and not options.has_rays:
        whole = skeleton(replace(config, has_rays=False))
        wanted = {k: state[k] for k in whole.state_dict()}
    hold_in(whole.transformer, options.dtype)
    fill(whole, wanted, options.device, source)
    return whole.eval()


def _random(
    name: str, source: str, seed: int, options: Da3LoadOptions, show: Callable[[str], None] | None
) -> LoadedDa3:
    config = options.config or ARCHITECTURES[name]
    network = random_network(replace(config, has_rays=options.has_rays), seed)
    hold_in(network.transformer, options.dtype)
    network = network.to(options.device)
    info = WeightsInfo.of_random(source, n_parameters(network), config.name)
    info.tell_terms(show)
    return LoadedDa3(network, info)


PREFIX = "model."  # before every name in published files


def aliases(model: Da3) -> dict[str, str]:
    """Names in the state dict of tensors that another name stands for, which published files leave out."""
    first: dict[int, str] = {}
    found = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        kept = first.setdefault(id(p), name)
        if kept != name:
            found[name] = kept
    return found


def own_names(tensors: dict[str, Tensor], where: str, model: Da3) -> dict[str, Tensor]:
    """The network's whole state dict from a file's tensors, with or without the prefix and the aliases. WeightsError,
    saying what is missing, too much or of another shape, and for aliases that differ from what they stand for."""
    named = {k.removeprefix(PREFIX): v for k, v in tensors.items()}
    if len(named) < len(tensors) or 0 < sum(k.startswith(PREFIX) for k in tensors) < len(tensors):
        raise WeightsError(f"{where}: some names of tensors begin with '{PREFIX}' and some do not: no DA3 weights")
    for alias, kept in aliases(model).items():
        given = named.setdefault(alias, named.get(kept, torch.empty(0)))
        if kept in named and given is not named[kept] and not torch.equal(given, named[kept]):
            raise WeightsError(f"{where}: {alias} and {kept} are one tensor of the network, but differ in the file")
    return named
