"""The database computed once, so that a query costs one row of attention (mask CACHEABLE)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks
from vgslam.network.frame_mask import FrameMask, attend
from vgslam.network.layers import Block, RopeTable
from vgslam.network.matching import N_REFERENCES, take_frames
from vgslam.network.reloc.config import MaskKind, MatchOrder, frame_mask, head_mask
from vgslam.network.reloc.known_poses import KnownPoses
from vgslam.network.reloc.network import RelocNetwork, descriptors, most_similar, second_references


@dataclass(frozen=True)
class DatabaseCache:
    """What queries need of one database of K frames, in the dtype of the network."""

    keys: list[Tensor]  # (1,heads,K,T,head width), for every global block
    values: list[Tensor]  # (1,heads,K,T,head width), for every global block
    camera: Tensor  # (1,K,2 width): camera tokens of the last layers
    descriptors: Tensor  # (1,K,width)
    cells: Tensor | None  # (1,K,C,h,w): features of the matching adapter; None without one
    image_size: tuple[int, int]  # (height, width) px
    known: KnownPoses  # the poses, whose scale the answers have

    @property
    def n_bytes(self) -> int:
        kept = [*self.keys, *self.values, self.camera, self.descriptors]
        return sum(x.numel() * x.element_size() for x in kept + ([] if self.cells is None else [self.cells]))


@torch.no_grad()
def encode_database(network: RelocNetwork, images: Tensor, known: KnownPoses) -> DatabaseCache:
    """Images (1,K,3,H,W) in [0,1] of a database with their poses -> its cache.

    ConfigError unless the network's mask is CACHEABLE and there are as many poses as images, of one scene.
    """
    if network.config.mask is not MaskKind.CACHEABLE:
        raise ConfigError(f"a network with mask '{network.config.mask}' cannot keep its database: use 'cacheable'")
    if len(images) != 1 or known.encoding.shape[:2] != images.shape[:2]:
        raise ConfigError(f"{images.shape[1]} database images need as many poses, of one scene")
    aggregator, n = network.vggt.aggregator, images.shape[1]
    patches = aggregator.encode_patches(images, Chunks())
    about, cells = descriptors(patches), None
    if aggregator.matching is not None:
        cells = aggregator.matching.cells(images)
        # what `second_references` gives the database beside any query
        beside = torch.cat([about, about[:, -1:]], dim=1)
        second = second_references(beside, MaskKind.CACHEABLE, network.config.match_order)
        chosen = torch.stack([torch.zeros_like(second[:, :n]), second[:, :n]], dim=2)
        references = take_frames(cells, chosen.flatten(1)).unflatten(1, (n, N_REFERENCES))
        patches = patches + aggregator.matching.embed(aggregator.matching.compare(cells, references))
    pose_tokens = network.adapter.pose_tokens(known)
    tokens = aggregator.assemble(patches)
    camera = network.adapter.database_tokens(tokens[:, :, 0], pose_tokens, known.has_pose)
    tokens = torch.cat([camera[:, :, None], tokens[:, :, 1:]], dim=2)
    mask = FrameMask(frame_mask(MaskKind.CACHEABLE, n + 1).allow[:-1, :-1])
    run = _Run(network, aggregator.rope(network.vggt.config.patches(*images.shape[-2:]), images.device))
    camera, keys, values = run.database(tokens, mask, (pose_tokens, known.has_pose))
    return DatabaseCache(keys, values, camera, about, cells, (images.shape[-2], images.shape[-1]), known)


@torch.no_grad()
def locate(network: RelocNetwork, cache: DatabaseCache, images: Tensor) -> list[Tensor]:
    """Queries (Q,3,H,W) in [0,1], each on its own, against a database -> pose encodings (Q,9), one per refinement.

    The same numbers as the whole network on database and query. ConfigError for images of another size.
    """
    if tuple(images.shape[-2:]) != cache.image_size:
        raise ConfigError(f"queries are {tuple(images.shape[-2:])} px, the database {cache.image_size}")
    aggregator = network.vggt.aggregator
    patches = _query_patches(network, cache, images[:, None])
    other = aggregator.register_token[:, 1].expand(len(images), -1, -1)
    query_token = network.adapter.query_token.to(patches.dtype).expand(len(images), 1, -1)
    tokens = torch.cat([query_token, other, patches[:, 0]], dim=1)[:, None]
    run = _Run(network, aggregator.rope(network.vggt.config.patches(*images.shape[-2:]), images.device))
    camera = torch.cat([cache.camera.expand(len(images), -1, -1), run.query(tokens, cache)], dim=1)
    head = network.vggt.camera_head
    assert head is not None
    encodings: list[Tensor] = head(camera, mask=head_mask(MaskKind.CACHEABLE, camera.shape[1]))
    return [encoding[:, -1] for encoding in encodings]


def _query_patches(network: RelocNetwork, cache: DatabaseCache, images: Tensor) -> Tensor:
    """Patch tokens (Q,1,h*w,width) of queries (Q,1,3,H,W), compared with the anchor and their most similar view."""
    aggregator = network.vggt.aggregator
    matching = aggregator.matching
    patches = aggregator.encode_patches(images, Chunks())
    if matching is None or cache.cells is None:
        return patches
    if network.config.match_order is MatchOrder.VIDEO:
        second = torch.full((len(images),), cache.cells.shape[1] - 1, device=images.device)
    else:
        second = most_similar(descriptors(patches)[:, 0], cache.descriptors.expand(len(images), -1, -1))
    chosen = torch.stack([torch.zeros_like(second), second], dim=1)
    references = take_frames(cache.cells.expand(len(images), -1, -1, -1, -1), chosen)[:, None]
    return patches + matching.embed(matching.compare(matching.cells(images), references))


class _Run:
    """The blocks of a network, with keys and values of the global ones taken out or put in."""

    def __init__(self, network: RelocNetwork, rope: RopeTable) -> None:
        self.network, self.rope = network, rope
        aggregator = network.vggt.aggregator
        size, depth = aggregator.config.aggregator.block_size, len(aggregator.frame_blocks)
        self.frame = [_block(b) for b in aggregator.frame_blocks]
        self.scene = [_block(b) for b in aggregator.global_blocks]
        self.parts = [range(start, start + size) for start in range(0, depth, size)]

    def database(
        self, x: Tensor, mask: FrameMask, poses: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Tokens x (1,K,T,width) -> camera tokens (1,K,2 width), keys and values of every global block."""
        chunks, keys, values, of_frame = Chunks(), [], [], x[:, :, 0]
        for part in self.parts:
            for i in part:
                self.frame[i].update_frames_(x.view(-1, *x.shape[2:]), self.rope, chunks.frames(x.shape[2]))
                x = self.network.adapter.after_frame_block(i, x, *poses)
                of_frame = x[:, :, 0].clone()
            for i in part:
                block = self.scene[i]
                q, k, v = block.attn.project(block.norm1(x), self.rope)
                keys.append(k)
                values.append(v)
                x = _finish(block, x, attend(q, k, v, mask))
        return torch.cat([of_frame, x[:, :, 0]], dim=-1), keys, values

    def query(self, x: Tensor, cache: DatabaseCache) -> Tensor:
        """Tokens x (Q,1,T,width), each beside the database's keys and values -> camera tokens (Q,1,2 width)."""
        of_frame = x[:, :, 0]
        for part in self.parts:
            for i in part:
                x = self.frame[i](x, self.rope)
                of_frame = x[:, :, 0]
            for i in part:
                x = query_block(self.scene[i], x, self.rope, (cache.keys[i], cache.values[i]))
        return torch.cat([of_frame, x[:, :, 0]], dim=-1)


def query_block(block: Block, x: Tensor, rope: RopeTable | None, database: tuple[Tensor, Tensor]) -> Tensor:
    """A global block for one frame x (Q,1,T,width) beside keys and values (1,heads,K,T,head width) of a database."""
    q, k, v = block.attn.project(block.norm1(x), rope)
    keys, values = (torch.cat([kept.expand(len(x), -1, -1, -1, -1), own], dim=2) for kept, own in zip(database, (k, v)))
    return _finish(block, x, attend(q, keys, values))


def _finish(block: Block, x: Tensor, heads: Tensor) -> Tensor:
    x = x + block.ls1(block.attn.join(heads))
    out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return out


def _block(module: nn.Module) -> Block:
    assert isinstance(module, Block)
    return module
