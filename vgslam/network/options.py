"""Which network is asked, and how it runs, as the command line says it; and whether torch, which networks need, is
there: the package tracks, maps and relocalizes without it."""

from dataclasses import dataclass
from importlib.util import find_spec

from vgslam.errors import MissingDependencyError

HOW_TO_INSTALL = (
    "pip install torch --index-url https://download.pytorch.org/whl/cpu (leave the index out for a GPU), "
    "then pip install 'vgslam[network]'"
)


def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return is_installed("torch")


def require_torch(what: str) -> None:
    """Raises MissingDependencyError where torch, or what else networks need, is not installed. what: who needs it."""
    missing = [name for name in ("torch", "huggingface_hub") if not is_installed(name)]
    if missing:
        raise MissingDependencyError(f"{what} needs {' and '.join(missing)}: {HOW_TO_INSTALL}")


def is_installed(name: str) -> bool:
    """Whether a module can be found; it is not loaded."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # made unimportable
        return False


NO_NETWORK, PACKAGED = "none", "vggt"
DEFAULT_WEIGHTS = {PACKAGED: "vggt-s"}  # the weights that come with the package


@dataclass(frozen=True)
class NetworkOptions:
    """Which network is asked, and how it runs, as the command line says it; see `open_backbone.BackboneOptions`."""

    name: str = NO_NETWORK
    """`none`, or a kind of backbone, as in `vggt`, or weights of the package, as in `vggt-s2`; `auto` for the default
    of the package, or none without torch."""
    weights: str | None = None
    """Its weights; the default is those that come with the package."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:N or mps."""
    precision: str = "auto"
    """Its arithmetic: auto, fp32, bf16 or fp16."""
    gpu_memory: str | None = None
    """Memory that it may use, as in 8GiB; the default is what is free."""
    readout: str = "auto"
    """Where its poses come from: auto, head, solver or rays."""
    size_px: int | None = None
    """Longest side of the images that it sees, where that can be chosen."""
    accepted_licence: str | None = None
    """Name of a licence for non-commercial use that the person accepts."""

    @property
    def chosen_weights(self) -> str:
        """The weights, or those that come with the package."""
        return self.weights or DEFAULT_WEIGHTS.get(self.name, "")

    @property
    def needs_torch(self) -> bool:
        """Whether only torch can tell if the machine, or the network, can do what is asked for."""
        is_device_known = self.device in ("auto", "cpu")
        is_precision_known = self.precision in ("auto", "fp32") or (self.precision, self.device) == ("bf16", "cpu")
        return not (is_device_known and is_precision_known and self.readout in ("auto", "head"))
