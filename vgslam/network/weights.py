"""Loading and saving the network: `--weights hub-id | file | folder`, strictly, leanly, with hash and licence."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from vgslam.byte_size import format_size
from vgslam.errors import WeightsError
from vgslam.network.config import VGGT_1B, VGGT_TINY, VggtConfig
from vgslam.network.initialise import scatter
from vgslam.network.memory import available_bytes
from vgslam.network.precision import set_precision
from vgslam.network.vggt import Head, Vggt, build, skeleton
from vgslam.network.weight_files import find_files, header_of, read_tensors, sha256_of, write_tensors
from vgslam.network.weights_info import (
    ARCHITECTURE,
    UNBUILDABLE,
    WeightsInfo,
    find_config,
    find_path,
    licence_of,
    random_seed,
)

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class LoadedVggt:
    """A network ready to run, and where its weights come from."""

    model: Vggt
    info: WeightsInfo


@dataclass(frozen=True)
class FileOptions:
    """Where weights are loaded from and to, of either architecture."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where they are loaded to."""
    dtype: torch.dtype = torch.float32
    """Number type of the transformer's linear layers."""
    sha256: str | None = None
    """SHA-256 that the file must have; None: that of the published file where one is known, else it is not checked."""
    ledger: Path | None = None
    """Where shown licences are noted; None: in the user's cache."""
    hub_cache: Path | None = None
    """Folder for downloads; None: that of Hugging Face."""


@dataclass(frozen=True)
class LoadOptions(FileOptions):
    """How weights are loaded."""

    heads: frozenset[Head] | None = None
    """Heads to load; the others take no memory. None: all."""
    config: VggtConfig | None = None
    """Architecture of files that do not name theirs."""


def load(source: str, options: LoadOptions | None = None, show: Callable[[str], None] | None = None) -> LoadedVggt:
    """Weights from the package ('vggt-s'), a hub id ('facebook/VGGT-1B', 'owner/name@revision'), a file or folder, or
    'random[:seed]'. The state dict must fit exactly. `show` receives the licence's terms, once per weights. Raises
    WeightsError: not cached and no network, gated, wrong or incomplete file, keys or shapes that do not fit, another
    hash, too little memory."""
    options = options or LoadOptions()
    seed = random_seed(source)
    if seed is not None:
        return _random(source, seed, options, show)
    path, repo = find_path(source, options.hub_cache)
    found = find_files(path)
    tensors, metadata = read_tensors(found.files)
    config = options.config or find_config(metadata, found.config) or VGGT_1B
    check_fit(tensors, built(lambda: skeleton(config), "the weights name"), str(path))
    digest = sha256_of(found.files)
    if options.sha256 and digest != options.sha256.lower():
        raise WeightsError(f"{path}: its SHA-256 is {digest}, expected {options.sha256}")
    model = _fill(tensors, config, options, source)
    info = WeightsInfo(source, digest, licence_of(repo, metadata, config), n_parameters(model), found.names)
    info.tell_terms(show, options.ledger)
    return LoadedVggt(model, info)


def n_parameters(model: nn.Module) -> int:
    """Numbers that a network has learned."""
    return sum(p.numel() for p in model.parameters())


def built(build_it: Callable[[], Network], who: str) -> Network:
    """The network; WeightsError for a configuration whose numbers contradict each other when it is built."""
    try:
        return build_it()
    except UNBUILDABLE as error:
        raise WeightsError(f"{who} a configuration that cannot be read: {error}") from error


def save(model: Vggt, path: Path, licence: str, dtype: torch.dtype | None = None) -> None:
    """Writes weights and configuration as one safetensors file, atomically; `dtype` converts (float16 halves the file).
    OutputError if it cannot be written."""
    write_tensors(path, model.state_dict(), header_of(ARCHITECTURE, model.config.to_dict(), licence), dtype)


def check_fit(tensors: dict[str, Tensor], model: nn.Module, where: str) -> None:
    """WeightsError naming missing and unexpected keys and wrong shapes, unless the tensors are the model's state
    dict."""
    expected = {key: value.shape for key, value in model.state_dict().items()}
    missing, unexpected = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    reshaped = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(shape)}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    problems = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if keys
    ]
    if problems:
        raise WeightsError(f"{where}: these weights do not fit the network: keys {'; '.join(problems)}")


def without_heads(config: VggtConfig, heads: Collection[Head]) -> VggtConfig:
    """The same network with the given heads only."""
    return replace(
        config,
        camera=config.camera if Head.POSE in heads else None,
        depth=config.depth if Head.DEPTH in heads else None,
        points=config.points if Head.POINTS in heads else None,
        track=config.track if Head.TRACKS in heads else None,
    )


def _fill(tensors: dict[str, Tensor], config: VggtConfig, options: LoadOptions, source: str) -> Vggt:
    """The network with these tensors, converted and moved one by one."""
    model = skeleton(config if options.heads is None else without_heads(config, options.heads))
    set_precision(model, options.dtype)
    fill(model, tensors, options.device, source)
    return model.eval()


def fill(model: nn.Module, tensors: dict[str, Tensor], device: torch.device, source: str) -> None:
    """Moves the tensors of `source` one by one out of the dictionary into a model without memory, in its dtype.
    WeightsError if the memory does not do."""
    needed = sum(p.numel() * p.element_size() for p in model.parameters())
    free = available_bytes(device)
    too_little = f"not enough memory on {device} for the weights of {source}: they need {format_size(needed)}"
    if free is not None and needed > free:
        raise WeightsError(f"{too_little}, {format_size(free)} are free; try --precision bf16 or a smaller network")
    filled: dict[str, Tensor] = {}
    try:
        for name, p in model.named_parameters(remove_duplicate=False):
            filled[name] = nn.Parameter(tensors.pop(name).to(device, p.dtype), requires_grad=p.requires_grad)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise WeightsError(too_little) from error
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise WeightsError(too_little) from error
    model.load_state_dict(filled, strict=True, assign=True)


def _random(source: str, seed: int, options: LoadOptions, show: Callable[[str], None] | None) -> LoadedVggt:
    config = options.config or VGGT_TINY
    config = config if options.heads is None else without_heads(config, options.heads)
    model = build(config, seed)
    scatter(model, seed)
    set_precision(model, options.dtype)
    model = model.to(options.device)
    info = WeightsInfo.of_random(source, n_parameters(model), ARCHITECTURE)
    info.tell_terms(show)
    return LoadedVggt(model, info)
