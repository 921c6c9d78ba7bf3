"""`vgslam relocalize`: where images were taken, in a saved map."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from rich.table import Table

from vgslam.commands.cells import cell, wide_console
from vgslam.commands.photos import Photos
from vgslam.errors import ConfigError, InputError, TrackingError
from vgslam.guards.wording import say

if TYPE_CHECKING:
    from vgslam.localizer import Localization, Localizer
    from vgslam.sources.pixel_range import PixelRange


@dataclass
class RelocalizeArgs:
    """Finds images in a saved map: pose, trust and the keyframes that it was found from. Exit code 4 when no image is
    found. Poses are T_world_cam in the units of the map."""

    map: Annotated[Path, tyro.conf.Positional]
    """Folder of a saved map (`vgslam run --map`)."""
    images: Annotated[list[Path], tyro.conf.Positional]
    """Image files, or folders of them."""
    calib: Path | None = None
    """Camera calibration of the images, as for `vgslam run`; by default that of the camera that made the map, with its
    distortion. Images of another size are scaled to it."""
    fov_deg: float | None = None
    """Horizontal field of view of the images, in degrees, if another camera took them and its calibration is not
    known."""
    weights: str | None = None
    """Network that proposes poses where matching finds none, such as the package's `vggt-s`; by default none."""
    device: str = "auto"
    """Run the network on cpu, cuda, cuda:N or mps."""
    method: str | None = None
    """Only this method: pnp, or one of the network's (consensus, late-fusion, learned, learned-consensus)."""
    json: bool = False
    """Print JSON, one object with a list, instead of a table."""


def run_relocalize(args: RelocalizeArgs) -> int:
    """Finds and prints; returns 0, or 2 where some of the images cannot be used. Raises MapError, ConfigError,
    WeightsError, InputError when none can be used, and TrackingError when nothing is found."""
    from vgslam.sources.image_files import range_of
    from vgslam.store.open import load_map

    paths = image_paths(args.images)
    if args.method not in (None, "pnp") and args.weights is None:
        raise ConfigError(f"--method {args.method} needs a network: add --weights vggt-s")
    values = range_of(paths)
    photos = Photos(load_map(args.map), None, args.calib, args.fov_deg, first_size(paths, values), _say)
    photos.proposer = _proposer(args)
    rows = []
    for path in paths:
        try:
            localizer, image = photos.prepare(path, read_rgb(path, values))
            rows.append(describe(path, localizer, args.method, image))
        except InputError as error:
            rows.append({"image": str(path), "is_found": False, "error": str(error)})
            if path == paths[-1] and all("error" in row for row in rows):
                raise
            _say(str(error))
    n = sum(bool(row["is_found"]) for row in rows)
    if args.json:
        say(json.dumps({"map": str(args.map), "n_images": len(rows), "n_found": n, "images": rows}, indent=2))
    else:
        wide_console(100).print(table(rows))
    if n == 0:
        raise TrackingError(f"none of {len(rows)} image(s) was found in {args.map}")
    if not args.json:
        say(f"{n} of {len(rows)} image(s) found")
    return InputError.exit_code if any("error" in row for row in rows) else 0


def _proposer(args: RelocalizeArgs) -> Any:
    if args.weights is None:
        return None
    from vgslam.network.options import require_torch

    require_torch(f"--weights {args.weights}")
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.reloc.learned import LEARNED_METHODS, network_proposer
    from vgslam.reloc.relocalizer import PNP

    proposer = network_proposer(open_backbone(BackboneOptions(args.weights, device=args.device), show=_say))
    if args.method not in (None, PNP, *proposer.methods):
        known = ", ".join((PNP, *proposer.methods))
        learned = f" ({args.weights} has no relocalization adapter)" if args.method in LEARNED_METHODS else ""
        raise ConfigError(f"--method {args.method} is none of {args.weights}: it has {known}{learned}")
    return proposer


def _say(line: str) -> None:
    say(line, is_error=True)


def image_paths(given: list[Path]) -> list[Path]:
    """The files, and those of folders in natural order. Raises InputError when there are none."""
    from vgslam.sources.image_files import list_images

    found: list[Path] = []
    for path in given:
        found += list_images(path) if path.is_dir() else [path]
    if not found:
        raise InputError("no images were given; name image files or a folder of them")
    return found


def first_size(paths: list[Path], values: "PixelRange | None" = None) -> tuple[int, int]:
    """Width and height of the first image that can be read. Raises InputError where none can."""
    for path in paths[:-1]:
        with suppress(InputError):
            return _size(read_rgb(path, values))
    return _size(read_rgb(paths[-1], values))


def _size(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def read_rgb(path: Path, values: "PixelRange | None" = None) -> npt.NDArray[np.uint8]:
    """RGB image (H,W,3) of a file, its pixels brought to 8 bits by a range. Raises InputError."""
    from vgslam.sources.image_files import load_image
    from vgslam.sources.recording import BadImageError

    try:
        image = load_image(path, values)
    except BadImageError as error:
        raise InputError(f"{path}: {error}") from error
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def describe(path: Path, localizer: "Localizer", method: str | None, image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """One row of the answer."""
    try:
        found = localizer.locate(image, method)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    row: dict[str, Any] = {"image": str(path), "is_found": localizer.accepts(found)}
    return row if found is None else row | _answer(found, localizer)


def _answer(found: "Localization", localizer: "Localizer") -> dict[str, Any]:
    keyframes = localizer.map.keyframes
    return {
        "T_world_cam": np.round(found.T_world_cam, 9).tolist(), "trust": round(found.trust, 4),
        "is_ambiguous": found.is_ambiguous, "method": found.method, "component": found.component_id,
        "references": [{"keyframe": k, "frame": keyframes[k].frame_id} for k in found.references],
        "evidence": asdict(found.evidence),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> Table:
    """The answers for people."""
    out = Table(title="in the map")
    for name in ("image", "found", "position", "trust", "inliers", "method", "keyframes"):
        out.add_column(name, overflow="fold")
    for row in rows:
        name = cell(Path(row["image"]).name)
        if "trust" not in row:
            out.add_row(name, "not read" if "error" in row else "no", "", "", "", "", "")
            continue
        verdict = "yes" if row["is_found"] else "ambiguous" if row["is_ambiguous"] else "no"
        position = ", ".join(f"{r[3]:.3f}" for r in row["T_world_cam"][:3]) if row["is_found"] else ""
        keyframes = ", ".join(str(r["keyframe"]) for r in row["references"])
        out.add_row(
            name, verdict, position, f"{row['trust']:.2f}", str(row["evidence"]["n_inliers"]), row["method"], keyframes
        )
    return out
