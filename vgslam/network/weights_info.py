"""What is known of weights of VGGT from their files, without torch: source, hash, licence, architecture."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vgslam.errors import ConfigError, WeightsError
from vgslam.guards.documents import parse_json, read_json
from vgslam.network import licence as licences
from vgslam.network.config import VGGT_1B, VggtConfig
from vgslam.network.licence import Licence
from vgslam.network.weight_files import METADATA_CONFIG, METADATA_LICENCE, ONCE_PACKAGED, default_ledger, packaged

ARCHITECTURE, RANDOM = "vggt", "random"
UNBUILDABLE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError, AssertionError,
    RuntimeError, ConfigError,
)  # fmt: skip
"""What comes of a configuration whose numbers contradict each other, when a network is built by it."""


@dataclass(frozen=True)
class WeightsInfo:
    """What every report records of the weights."""

    source: str
    sha256: str  # digest of the file; '' for random weights
    licence: Licence
    n_parameters: int
    files: tuple[str, ...] = ()
    is_random: bool = False
    architecture: str = ARCHITECTURE  # name of the backbone that the weights are for

    @property
    def model_id(self) -> str:
        """Hub id or file name, and hash, for `WindowPrediction.model_id`."""
        is_local = not self.is_random and parse_hub_id(self.source) is None
        name = Path(self.source).name if is_local else self.source
        return f"{self.architecture}:{name}" + (f"@{self.sha256[:12]}" if self.sha256 else "")

    @staticmethod
    def of_random(source: str, n_parameters: int, architecture: str) -> "WeightsInfo":
        """Random weights, for trying things out; their `source` says so in every report."""
        return WeightsInfo(source, "", licences.RANDOM, n_parameters, is_random=True, architecture=architecture)

    def tell_terms(self, show: Callable[[str], None] | None, ledger: Path | None = None) -> None:
        """`show` receives the licence's terms, once per weights, of random ones each time. ledger: where that is
        noted."""
        if show is not None and self.is_random:
            show(self.licence.terms)
        elif show is not None:
            licences.show_once(self.licence, self.sha256, ledger or default_ledger(), show)


def random_seed(source: str) -> int | None:
    """The seed of weights 'random' or 'random:SEED', None for all others. Raises WeightsError for what is no number."""
    name, _, seed = source.partition(":")
    if name != RANDOM:
        return None
    if seed and not seed.isdigit():
        raise WeightsError(f"'{source}': random weights are written random or random:SEED")
    return int(seed or 0)


def find_path(source: str, hub_cache: Path | None = None) -> tuple[Path, str | None]:
    """The file or folder of weights from the package, a hub id, or this machine, and the repository. WeightsError."""
    path = packaged(source) or Path(source).expanduser()
    if source in ONCE_PACKAGED and not path.exists():
        raise WeightsError(ONCE_PACKAGED[source])
    hub_id = None if path.exists() else parse_hub_id(source)
    return (download(*hub_id, hub_cache), hub_id[0]) if hub_id else (path, None)


def find_config(metadata: dict[str, str], beside: Path | None) -> VggtConfig | None:
    """The configuration that the file, or a config.json of ours beside it, names."""
    text = metadata.get(METADATA_CONFIG)
    if text is None and beside is not None:
        try:
            content = read_json(beside)
        except (ValueError, OSError):
            return None
        is_ours = isinstance(content, dict) and METADATA_CONFIG in content
        text = json.dumps(content[METADATA_CONFIG]) if is_ours else None
    if text is None:
        return None
    try:
        return VggtConfig.from_dict(parse_json(text))
    except UNBUILDABLE as error:
        raise WeightsError(f"the weights name a configuration that cannot be read: {error}") from error


def licence_of(hub_id: str | None, metadata: dict[str, str], config: VggtConfig) -> Licence:
    """The licence of weights from a repository, or of a file that names one or has the structure of VGGT-1B."""
    if hub_id in licences.BY_HUB_ID:
        return licences.BY_HUB_ID[hub_id]
    if METADATA_LICENCE in metadata:
        return licences.named(metadata[METADATA_LICENCE])
    return licences.VGGT_1B_FILE if config == VGGT_1B else licences.UNKNOWN


_HUB_ID = re.compile(r"^(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?$")
_FILE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".json")


class HubUnreachableError(WeightsError):
    """The weights are not in the cache, and the hub cannot be asked."""


def parse_hub_id(source: str) -> tuple[str, str | None] | None:
    """'owner/name' or 'owner/name@revision' -> (repository, revision); None if it looks like a path."""
    match = _HUB_ID.match(source)
    if match is None or source.endswith(_FILE_ENDINGS):
        return None
    return match["repo"], match["revision"]


def download(repo: str, revision: str | None = None, cache: Path | None = None, only_cached: bool = False) -> Path:
    """Folder in the hub's cache with the weights of `repo` (safetensors if there are any, else .pt) and its config;
    what is missing is downloaded, with a progress bar, unless only_cached. Raises WeightsError with one line."""
    import huggingface_hub

    kinds = (["*.safetensors", "*.safetensors.index.json", "config.json"], ["*.pt", "config.json"])
    for patterns in kinds:
        try:
            local = {"local_files_only": True} if only_cached else {}
            folder = Path(
                huggingface_hub.snapshot_download(
                    repo, revision=revision, cache_dir=cache, allow_patterns=patterns, **local
                )
            )
        except Exception as error:  # the client raises its own, the HTTP library's and the system's errors
            kind = HubUnreachableError if _is_unreachable(error) else WeightsError
            raise kind(_explain(repo, revision, error)) from error
        if any(p.suffix in (".safetensors", ".pt") for p in folder.iterdir()):
            return folder
    raise WeightsError(f"{repo} holds no .safetensors or .pt file, or its download was cut off: try again online")


def _explain(repo: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: ask for access on its Hugging Face page, then run `hf auth login` and try again"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision '{revision}'"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{repo} was not found on Hugging Face (if it is private, run `hf auth login`)"
    if _is_unreachable(error):
        return (
            f"{repo} is not in the local cache and Hugging Face cannot be reached: connect to the network once, or "
            "download the file elsewhere and pass its path to --weights"
        )
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"downloading {repo} failed ({first_line}); run the same command again to resume"


def _is_unreachable(error: Exception) -> bool:
    from huggingface_hub import errors

    return isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | ConnectionError)
