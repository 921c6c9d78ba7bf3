"""Opens a backbone, ready to run, for `--weights`, `--device`, `--precision` and `--gpu-memory`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vgslam.byte_size import parse_size
from vgslam.errors import ConfigError
from vgslam.interfaces import Backbone
from vgslam.network.da3.find import PUBLISHED, require_acceptance
from vgslam.network.precision import Precision, choose_device, choose_dtype
from vgslam.network.preprocess import ResizeMode
from vgslam.network.readout import Readout
from vgslam.network.vggt import Head
from vgslam.network.vggt_backbone import RunOptions, VggtBackbone
from vgslam.network.weights import LoadOptions, load
from vgslam.plugins import Registry

Show = Callable[[str], None]


@dataclass(frozen=True)
class BackboneOptions:
    """Options of the network."""

    weights: str
    """A name of the package, a Hugging Face id, a file, a folder or `random`; for another backbone, what it takes.
    NAME:WEIGHTS, where NAME is one of BACKBONES, chooses the backbone as well."""
    architecture: str = "vggt"
    """Kind of backbone, one of BACKBONES."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = Precision.AUTO
    """Arithmetic of the network."""
    gpu_memory: str | None = None
    """Budget such as '8GiB', of whichever device runs the network; None: what is free."""
    window_frames: int = 16
    """Window size to aim for, in frames."""
    resize: ResizeMode | None = None
    """How images are brought to size; None: as the network was trained."""
    heads: frozenset[Head] = field(default_factory=lambda: frozenset({Head.POSE, Head.DEPTH}))
    """Heads that are loaded."""
    sha256: str | None = None
    """Checked where given."""
    readout: Readout = Readout.AUTO
    """Where poses come from."""
    size_px: int | None = None
    """Longest side of the images that Depth-Anything-3 sees; None: 504, as it was trained."""
    accepted_licence: str | None = None
    """Name of a licence for non-commercial use that the person has accepted."""


def _open_vggt(options: BackboneOptions, show: Show | None) -> Backbone[Any]:
    if options.size_px is not None:
        raise ConfigError("the size of the images can be chosen for Depth-Anything-3 only: --network da3-small")
    device = choose_device(options.device)
    budget = None if options.gpu_memory is None else parse_size(options.gpu_memory)
    dtype = choose_dtype(options.precision, device)
    loaded = load(options.weights, LoadOptions(device, dtype, options.sha256, heads=options.heads), show)
    run = RunOptions(options.window_frames, budget, options.resize, options.heads, options.readout)
    return VggtBackbone(loaded, run)


def _open_da3(options: BackboneOptions, show: Show | None, *, name: str) -> Backbone[Any]:
    from vgslam.network.da3 import backbone, loading

    absent = sorted(options.heads - {Head.POSE, Head.DEPTH})
    if absent:
        raise ConfigError(f"{name} has no head for {', '.join(absent)}")
    if options.resize is not None:
        raise ConfigError(f"{name} has its own way to bring images to size; choose a size instead")
    require_acceptance(name, options.accepted_licence)
    device = choose_device(options.device)
    budget = None if options.gpu_memory is None else parse_size(options.gpu_memory)
    dtype = choose_dtype(options.precision, device)
    how = loading.Da3LoadOptions(
        device, dtype, options.sha256, has_rays=options.readout is Readout.RAYS,
        accepted_licence=options.accepted_licence,
    )  # fmt: skip
    run = backbone.Da3RunOptions(options.window_frames, budget, readout=options.readout)
    if options.size_px is not None:
        run = replace(run, size_px=options.size_px)
    return backbone.Da3Backbone(loading.load(name, options.weights, how, show), run)


_Open = Callable[[BackboneOptions, Show | None], Backbone[Any]]
_OWN: dict[str, _Open] = {"vggt": _open_vggt} | {name: partial(_open_da3, name=name) for name in PUBLISHED}
BACKBONES: Registry[_Open] = Registry("vgslam.backbones", "backbone", _OWN, takes=("options", "show"))
"""How each kind of backbone is opened; `show` takes lines for the person, such as the terms of a licence."""


def open_backbone(options: BackboneOptions, show: Show | None = None) -> Backbone[Any]:
    """The backbone that the options describe; `show` receives the licence's terms once per weights. ConfigError for an
    unknown architecture, device, precision or budget; WeightsError as `weights.load`; PluginError."""
    name, _, weights = options.weights.partition(":")
    if name != options.weights and name in BACKBONES.names():
        options = replace(options, architecture=name, weights=weights)
    name = options.architecture
    return BACKBONES.checked(name, BACKBONES.get(name)(options, show), Backbone)
