"""Weights from the Hugging Face hub: cached, resumable, usable offline once downloaded."""

import re
from pathlib import Path

from vgslam.errors import WeightsError

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
