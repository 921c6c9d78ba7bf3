"""The database computed once (R14): a query beside the cache equals the whole network, and leaves no trace in it."""

from dataclasses import replace

import pytest
import torch
from reloc_cases import HEIGHT, MATCHING, TINY, WIDTH, base_network, frames, told, trained

from bench.reloc_cache import encode_database, locate
from vgslam.errors import ConfigError
from vgslam.network.config import VggtConfig
from vgslam.network.reloc.config import Injection, MaskKind, MatchOrder, RelocConfig
from vgslam.network.reloc.network import RelocNetwork, build_reloc

CASES = {
    "attention": (TINY, RelocConfig(mask=MaskKind.CACHEABLE)),
    "every block": (TINY, RelocConfig(mask=MaskKind.CACHEABLE, inject_every_block=True)),
    "replace": (TINY, RelocConfig(mask=MaskKind.CACHEABLE, injection=Injection.REPLACE)),
    "matching": (MATCHING, RelocConfig(mask=MaskKind.CACHEABLE)),
    "matching, video": (MATCHING, RelocConfig(mask=MaskKind.CACHEABLE, match_order=MatchOrder.VIDEO)),
    "pairs of blocks": (
        replace(TINY, aggregator=replace(TINY.aggregator, depth=4, block_size=2)), RelocConfig(mask=MaskKind.CACHEABLE),
    ),
}  # fmt: skip


@pytest.fixture(params=CASES, scope="module")
def network(request) -> RelocNetwork:
    config, reloc = CASES[request.param]
    return trained(build_reloc(base_network(config), reloc))


@torch.no_grad()
@pytest.mark.parametrize("k", [1, 2, 6])
def test_cached_equals_masked_dense(network: RelocNetwork, k: int) -> None:
    images, known = frames(k + 1), told(k)
    whole = network(images, known)
    cached = locate(network, encode_database(network, images[:, :-1], known), images[:, -1])
    for a, b in zip(whole, cached, strict=True):
        torch.testing.assert_close(b, a[:, -1], rtol=0, atol=1e-9)


@torch.no_grad()
def test_database_does_not_depend_on_the_query(network: RelocNetwork) -> None:
    images, other = frames(6), frames(6)
    other[:, -1] = 1 - other[:, -1]
    a, b = (network(x, told(5))[-1] for x in (images, other))
    torch.testing.assert_close(a[:, :-1], b[:, :-1], rtol=0, atol=1e-12)
    assert (a[:, -1] - b[:, -1]).abs().max() > 1e-3


@torch.no_grad()
def test_queries_are_answered_each_on_its_own(network: RelocNetwork) -> None:
    cache = encode_database(network, frames(4), told(4))
    queries = frames(3, seed=5)[0]
    together = locate(network, cache, queries)[-1]
    alone = torch.cat([locate(network, cache, q[None])[-1] for q in queries])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
    assert torch.equal(locate(network, cache, queries)[-1], together)


@torch.no_grad()
def test_float32_within_a_millionth(network: RelocNetwork) -> None:
    single = build_reloc(base_network(network.vggt.config).float(), network.config)
    single.adapter.load_state_dict(network.adapter.state_dict())
    images, known = frames(6).float(), told(5)
    cached = locate(single, encode_database(single, images[:, :-1], known), images[:, -1])[-1]
    torch.testing.assert_close(cached, single(images, known)[-1][:, -1], rtol=2e-5, atol=2e-5)


def test_cache_says_its_size() -> None:
    network = trained(build_reloc(base_network(), RelocConfig(mask=MaskKind.CACHEABLE)))
    one, two = (encode_database(network, frames(k), told(k)).n_bytes for k in (2, 4))
    tokens = TINY.tokens_per_frame(HEIGHT, WIDTH)
    assert two - one == 8 * 2 * (2 * 2 * tokens * 64 + 2 * 64 + 64)  # per frame: keys, values, camera, descriptor
    assert two == 2 * one


def test_misuse_is_refused() -> None:
    network = build_reloc(base_network(), RelocConfig())
    with pytest.raises(ConfigError, match="use 'cacheable'"):
        encode_database(network, frames(3), told(3))
    network = build_reloc(base_network(), RelocConfig(mask=MaskKind.CACHEABLE))
    with pytest.raises(ConfigError, match="as many poses"):
        encode_database(network, frames(3), told(2))
    cache = encode_database(network, frames(3), told(3))
    with pytest.raises(ConfigError, match="the database"):
        locate(network, cache, torch.zeros(1, 3, HEIGHT, WIDTH + 8, dtype=torch.float64))


def test_large_database_of_a_plain_config() -> None:
    """Any configuration works: no matching, several registers, other patch size."""
    config = VggtConfig(
        image_size=28, patch_size=14, width=32, n_registers=4, encoder=replace(TINY.encoder, grid=2),
        aggregator=replace(TINY.aggregator, n_heads=2), camera=replace(TINY.camera, n_heads=2), depth=None, points=None,
        track=None,
    )  # fmt: skip
    network = trained(build_reloc(base_network(config), RelocConfig(mask=MaskKind.CACHEABLE)))
    images, known = frames(21)[..., :28, :28], told(20)
    with torch.no_grad():
        cached = locate(network, encode_database(network, images[:, :-1], known), images[:, -1])[-1]
        torch.testing.assert_close(cached, network(images, known)[-1][:, -1], rtol=0, atol=1e-9)
