"""Clips: short rendered sequences of random worlds on disk, from which training windows are drawn.

A data set is a folder of shards; a shard holds the clips of a few worlds as memory-mapped arrays. Every shard follows
from the seed and its number alone, so generation goes on where it stopped and workers do not matter.
"""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vgslam.errors import ConfigError
from vgslam.geometry import se3
from vgslam.orphans import end_with_parent
from vgslam_train.data.cell_flow import cell_flow
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.sequences import Shot, film, random_camera
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import sway, trajectory
from vgslam_train.worlds.world import World

Array = npt.NDArray[np.float64]

INDEX_NAME = "index.json"
VALIDATION_SEEDS = 1 << 30
"""Added to the seed of validation worlds: no world, texture or path of theirs is trained on."""

KINDS = ("room", "clutter", "corridor", "street", "room", "clutter", "street", "clutter")
"""Kinds of the worlds of a shard, repeated in this order."""
_MOTIONS = {
    "room": ("walk", "loop", "rotate", "orbit", "drone", "static"),
    "clutter": ("walk", "loop", "rotate", "orbit", "drone", "drive"),
    "corridor": ("walk", "loop", "rotate", "drive"),
    "street": ("walk", "drive", "drive", "rotate", "drone"),
    "hills": ("walk", "drive", "drone", "rotate"),
    "bare": ("walk", "loop", "rotate", "orbit", "drone"),
}
_RATES_HZ = (3.0, 5.0, 8.0, 12.0)
_ARRAYS = ("images", "inverse_depth", "T_world_cam", "K", "overlap", "flow_px")


@dataclass(frozen=True)
class ClipConfig:
    """Which clips are rendered. The worlds of a shard share textures."""

    seed: int = 0
    is_validation: bool = False
    """Take the worlds from another range of seeds."""
    n_frames: int = 12
    """Frames per clip."""
    height: int = 96
    """Height of the images in px."""
    width: int = 128
    """Width of the images in px."""
    worlds_per_shard: int = 8
    """Worlds in a shard."""
    clips_per_world: int = 8
    """Clips of each world."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of the worlds, repeated in this order."""

    @property
    def clips_per_shard(self) -> int:
        return self.worlds_per_shard * self.clips_per_world

    @property
    def first_seed(self) -> int:
        return self.seed * 1_000_003 + (VALIDATION_SEEDS if self.is_validation else 0)


@dataclass(frozen=True)
class Clip:
    """N rendered frames."""

    images: npt.NDArray[np.uint8]
    """(N,H,W,3) uint8."""
    inverse_depth: npt.NDArray[np.float16]
    """(N,H,W) float16, 1/m, 0 for the sky."""
    T_world_cam: Array
    """(N,4,4)."""
    K: Array
    """(4,): fx, fy, cx, cy."""
    overlap: npt.NDArray[np.float32]
    """(N,N): share of frame i (row) seen in frame j."""
    flow_px: npt.NDArray[np.float32]
    """(N,N): median flow of what is seen."""


def render_clip(world: World, kind: str, seed: int, config: ClipConfig, device: str = "cpu") -> Clip:
    """One clip: a random lens, path, frame rate, roll and camera faults. Rendered on `device`; the noise of the images
    repeats on one kind of device, not across kinds."""
    rng = np.random.default_rng([seed, 99])
    rate_hz = float(rng.choice(_RATES_HZ))
    T = trajectory(str(rng.choice(_MOTIONS[kind])), config.n_frames, seed, world.free, rate_hz)
    T = T @ _roll(config.n_frames, rate_hz, rng)
    camera = random_camera(config.width, config.height, seed)
    shot = Shot(rate_hz=rate_hz, supersample=1, imaging=float(rng.uniform(0, 1)))
    film_ = film(world, T, camera, shot, device)
    inverse = (1.0 / film_.depth).astype(np.float16)
    K = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    overlap, flow_px = overlaps(inverse, T, K, device)
    return Clip(film_.images, inverse, T, K, overlap, flow_px)


def _roll(n: int, rate_hz: float, rng: np.random.Generator) -> Array:
    """Turns about the optical axis (N,4,4): a constant one and a slow swaying of up to about 20 degrees."""
    amplitude = abs(rng.normal(0, 10.0))
    angle = np.radians(rng.normal(0, 9.0) + amplitude * sway(n, rate_hz, rng, 0.1, 0.8))
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 0] = T[:, 1, 1] = np.cos(angle)
    T[:, 1, 0] = np.sin(angle)
    T[:, 0, 1] = -T[:, 1, 0]
    return T


def overlaps(
    inverse_depth: npt.NDArray[np.float16], T_world_cam: Array, K: Array, device: str = "cpu"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Share of frame i's cells seen in frame j (N,N), for all pairs of N frames, and their median flow in px (0 where
    nothing is seen)."""
    n = len(T_world_cam)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    inverse = torch.from_numpy(inverse_depth.astype(np.float32)).to(device)
    depth = torch.where(inverse > 0, 1 / inverse.clamp(min=1e-6), 0.0)
    matrix = torch.tensor([[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1]], dtype=torch.float32, device=device)
    T = torch.from_numpy(se3.inverse(T_world_cam[j]) @ T_world_cam[i]).to(device)
    flow, visible = cell_flow(depth[i], T, matrix.expand(len(i), 3, 3), depth[j])
    length = flow.norm(dim=-1).masked_fill(~visible, torch.nan)
    median = torch.nan_to_num(length.flatten(1).nanmedian(dim=1).values)
    share = visible.flatten(1).float().mean(1)
    return share.view(n, n).cpu().numpy(), median.view(n, n).float().cpu().numpy()


def render_shard(folder: str, config: ClipConfig, number: int, device: str = "cpu") -> int:
    """Renders one shard into `folder`, which holds it whole or not at all; returns its number."""
    torch.set_num_threads(1)
    first, n = config.first_seed + number * config.worlds_per_shard, config.clips_per_world
    bank = TextureBank(first)
    clips = []
    for w in range(config.worlds_per_shard):
        kind = config.kinds[w % len(config.kinds)]
        world = generate(kind, first + w, bank)
        clips += [render_clip(world, kind, (first + w) * n + c, config, device) for c in range(n)]
    final = Path(folder) / f"shard_{number:05d}"
    temporary = Path(folder) / f".shard_{number:05d}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in _ARRAYS:
        np.save(temporary / f"{name}.npy", np.stack([getattr(clip, name) for clip in clips]))
    temporary.rename(final)
    return number


def generate_clips(
    folder: Path, config: ClipConfig, n_clips: int, workers: int = 1, show: Callable[[str], None] | None = None
) -> None:
    """Renders what is missing of the first `n_clips` (rounded up to whole shards) in parallel; with 0 workers, here.

    ConfigError if the folder holds another data set.
    """
    missing = claim_folder(folder, config, n_clips)
    n_shards = -(-n_clips // config.clips_per_shard)
    if not missing:
        return

    def rendered(n_done: int) -> None:
        if show is not None:
            n = n_shards - len(missing) + n_done
            show(f"rendered {n * config.clips_per_shard} of {n_shards * config.clips_per_shard} clips")

    if not workers:
        for done, k in enumerate(missing, start=1):
            render_shard(str(folder), config, k)
            rendered(done)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        jobs = [pool.submit(render_shard, str(folder), config, k) for k in missing]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            rendered(done)


def claim_folder(folder: Path, config: ClipConfig, n_clips: int) -> list[int]:
    """Makes `folder` one of clips of `config`; returns the numbers of the shards that are missing of `n_clips`.

    ConfigError if the folder holds another data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX_NAME
    if index.exists() and _config_in(index) != config:
        raise ConfigError(f"{folder} holds clips of another kind ({index.read_text()}): use another data folder")
    index.write_text(json.dumps(asdict(config)))
    n_shards = -(-n_clips // config.clips_per_shard)
    return [k for k in range(n_shards) if not (folder / f"shard_{k:05d}").is_dir()]


def _config_in(index: Path) -> ClipConfig:
    content = json.loads(index.read_text())
    return ClipConfig(**content | {"kinds": tuple(content.get("kinds", KINDS))})


class ClipSet:
    """The clips of a folder, memory-mapped. Only shards that are complete count."""

    def __init__(self, shards: list[Path], config: ClipConfig) -> None:
        self._shards, self.config = shards, config
        self._open: dict[int, tuple[np.ndarray, ...]] = {}

    @staticmethod
    def open(folder: Path, n_clips: int | None = None) -> "ClipSet":
        """ConfigError if there are none, or fewer than `n_clips`."""
        shards = sorted(folder.glob("shard_*"))
        if not shards:
            raise ConfigError(f"{folder}: no clips are there; render some")
        config = _config_in(folder / INDEX_NAME)
        n_shards = len(shards) if n_clips is None else -(-n_clips // config.clips_per_shard)
        if n_shards > len(shards):
            raise ConfigError(f"{folder}: only {len(shards) * config.clips_per_shard} clips are there; render more")
        return ClipSet(shards[:n_shards], config)

    def __len__(self) -> int:
        return len(self._shards) * self.config.clips_per_shard

    def __getitem__(self, k: int) -> Clip:
        shard, i = divmod(k, self.config.clips_per_shard)
        if shard not in self._open:
            self._open[shard] = tuple(np.load(self._shards[shard] / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
        return Clip(*(array[i] for array in self._open[shard]))
