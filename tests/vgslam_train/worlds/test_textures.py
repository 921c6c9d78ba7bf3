"""Texture tiles and the band-limited lookup."""

import itertools

import numpy as np
import pytest
import torch

from vgslam_train.worlds.texture_kinds import KINDS, PICTURE_KINDS, noise
from vgslam_train.worlds.textures import TextureBank, sample


@pytest.fixture(scope="module")
def bank():
    bank = TextureBank(1, 32)
    for kind in ("shapes", "wood", "rug"):
        bank.material(kind)
    return bank


def look_up(bank, material, u, v, footprint):
    table = bank.table(torch.device("cpu"))
    n = len(u)
    values = (torch.as_tensor(x, dtype=torch.float32).expand(n) for x in (u, v, footprint))
    return sample(table, torch.full((n,), material), *values)[:, :3].numpy()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_makes_a_tile_with_colours_in_range(kind):
    image = KINDS[kind](64, np.random.default_rng(3))
    assert image.shape == (64, 64, 3)
    assert np.isfinite(image).all()
    assert 0.02 < np.clip(image, 0, 1).mean() < 0.98
    assert np.abs(image - np.clip(image, 0, 1)).mean() < 0.02
    assert image.std() > 0.002


@pytest.mark.parametrize("kind", sorted(set(KINDS) - PICTURE_KINDS - {"facade", "tiles"}))
def test_tiles_join_at_their_borders(kind):
    """The step across the border is no larger than the largest step inside."""
    tile = np.clip(KINDS[kind](64, np.random.default_rng(5)), 0, 1)
    inner = max(np.abs(np.diff(tile, axis=0)).mean((1, 2)).max(), np.abs(np.diff(tile, axis=1)).mean((0, 2)).max())
    border = max(np.abs(tile[0] - tile[-1]).mean(), np.abs(tile[:, 0] - tile[:, -1]).mean())
    assert border <= 1.5 * inner + 0.01


def test_noise_is_periodic_normalised_and_stretched():
    n = noise(128, np.random.default_rng(0), 1.0, (1.0, 8.0))
    assert abs(n.mean()) < 1e-5
    assert n.std() == pytest.approx(1.0, abs=1e-4)
    across, along = np.abs(np.diff(n, axis=1)).mean(), np.abs(np.diff(n, axis=0)).mean()
    assert across > 2 * along


def test_texel_centres_return_the_texel(bank):
    tile = bank.tile(0)
    i, j = np.meshgrid(np.arange(32), np.arange(32))
    out = look_up(bank, 0, (i.ravel() + 0.5) / 32, (j.ravel() + 0.5) / 32, 1e-6)
    np.testing.assert_allclose(out.reshape(32, 32, 3), tile, atol=1e-4)


def test_lookup_is_periodic(bank):
    u, v = np.random.default_rng(0).uniform(0, 1, (2, 50))
    a = look_up(bank, 1, u, v, 0.05)
    np.testing.assert_allclose(look_up(bank, 1, u + 3, v - 2, 0.05), a, atol=2e-4)


def test_between_texels_it_is_linear(bank):
    u = (np.array([4.0, 4.25, 4.5, 4.75, 5.0]) + 0.5) / 32
    out = look_up(bank, 0, u, np.full(5, 10.5 / 32), 1e-6)
    expected = np.linspace(0, 1, 5)[:, None] * (out[4] - out[0]) + out[0]
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_a_pixel_as_large_as_the_tile_sees_its_mean(bank):
    for material in range(3):
        out = look_up(bank, material, np.array([0.1, 0.7]), np.array([0.3, 0.9]), 1.0)
        np.testing.assert_allclose(out, np.broadcast_to(bank.tile(material).mean((0, 1)), (2, 3)), atol=3e-3)


def test_detail_fades_with_the_footprint(bank):
    u, v = np.random.default_rng(0).uniform(0, 1, (2, 2000))
    contrast = [look_up(bank, 0, u, v, f).std() for f in (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)]
    assert all(a > b for a, b in itertools.pairwise(contrast))
    halfway = look_up(bank, 0, u, v, 2**-3.5)
    mean = 0.5 * (look_up(bank, 0, u, v, 2**-3.0) + look_up(bank, 0, u, v, 2**-4.0))
    np.testing.assert_allclose(halfway, mean, atol=1e-4)
