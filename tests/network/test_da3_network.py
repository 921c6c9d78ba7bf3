"""Depth-Anything-3: what the order of the views, their number and given cameras change, and what they do not."""

import numpy as np
import pytest
import torch
from da3_tiny import DA3_TINY
from torch import Tensor
from torch.nn import functional

from vgslam.errors import ConfigError
from vgslam.geometry import se3, torch_se3
from vgslam.network.aggregator import Chunks
from vgslam.network.config import DptConfig
from vgslam.network.da3.backbone import decode_cameras, encode_cameras, normalise
from vgslam.network.da3.config import Da3Config
from vgslam.network.da3.network import HEADS, Da3, random_network
from vgslam.network.da3.transformer import ReferenceChoice, choose_reference, resized_position
from vgslam.network.vggt import Head

SIZE = (42, 56)


@pytest.fixture(scope="module")
def da3() -> Da3:
    return random_network(DA3_TINY, 3).double().requires_grad_(False)


def pictures(n: int, seed: int = 1) -> Tensor:
    return torch.rand(1, n, 3, *SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def poses(n: int, seed: int = 2) -> Tensor:
    stream = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([se3.exp(0.4 * stream.standard_normal(6)) for _ in range(n)]))


def encodings(T_cam_world: Tensor, focal: float = 60.0) -> Tensor:
    K = torch.tensor([[focal, 0, 28], [0, focal, 21], [0, 0, 1.0]], dtype=torch.float64).expand(len(T_cam_world), 3, 3)
    return encode_cameras(normalise(T_cam_world).T_cam_first, K, SIZE)[None]


def test_any_order_of_views_gives_the_same_geometry(da3: Da3) -> None:
    images, order = pictures(5), torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        here, there = da3(images, rays=True), da3(images[:, order], rays=True)
        a, b = da3.encode(images, HEADS), da3.encode(images[:, order], HEADS)
    assert order[b.reference[0]] == a.reference[0]
    for name, found in vars(there).items():
        torch.testing.assert_close(found, vars(here)[name][:, order], atol=1e-9, rtol=1e-9)


def test_the_first_view_matters_when_it_is_the_reference(da3: Da3) -> None:
    images, order = pictures(4), torch.tensor([1, 0, 2, 3])
    with torch.no_grad():
        here = da3(images, choice=ReferenceChoice.FIRST)
        there = da3(images[:, order], choice=ReferenceChoice.FIRST)
        same = da3(images[:, [0, 3, 1, 2]], choice=ReferenceChoice.FIRST)
    assert (there.depth[:, order] - here.depth).abs().max() > 1e-4
    torch.testing.assert_close(same.depth, here.depth[:, [0, 3, 1, 2]], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_in_place_and_in_chunks_the_numbers_are_the_same(da3: Da3, n: int) -> None:
    images, given = pictures(n), encodings(poses(n))
    for camera_encoding in (None, given):
        with torch.enable_grad():
            plain = da3(images, HEADS, camera_encoding, rays=True)
        with torch.inference_mode():
            small = da3(images, HEADS, camera_encoding, rays=True, chunks=Chunks(1, 1, torch.float64))
        for name, value in vars(plain).items():
            torch.testing.assert_close(vars(small)[name], value, atol=1e-9, rtol=1e-9)


def test_scenes_of_a_batch_do_not_see_each_other(da3: Da3) -> None:
    both = torch.cat([pictures(4, 7), pictures(4, 8)])
    with torch.no_grad():
        together, references = da3(both), da3.encode(both, HEADS).reference
        for i in range(2):
            alone = da3(both[i : i + 1])
            torch.testing.assert_close(together.depth[i : i + 1], alone.depth, atol=1e-9, rtol=1e-9)
            torch.testing.assert_close(together.pose_encoding[i : i + 1], alone.pose_encoding, atol=1e-9, rtol=1e-9)
    assert len(references) == 2


def test_across_views_all_patches_are_at_one_position(da3: Da3) -> None:
    """Across views all patches are at one position, and the camera at another."""
    here, flat = da3.transformer.rope((3, 4), torch.device("cpu"))
    assert all(torch.equal(t[1:], t[1:2].expand_as(t[1:])) for t in flat)
    assert not torch.equal(flat[1][0], flat[1][1])
    torch.testing.assert_close(flat[0][1], here[0][1])
    assert not torch.equal(here[0][1], here[0][2])


def test_given_cameras_change_the_result_and_their_principal_point_does_not(da3: Da3) -> None:
    images, T = pictures(3), poses(3)
    K = torch.tensor([[60.0, 0, 28], [0, 61.0, 21], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    moved = K.clone()
    moved[:, :2, 2] += 5
    with torch.no_grad():
        free = da3(images)
        given = da3(images, HEADS, encode_cameras(T, K, SIZE)[None])
        again = da3(images, HEADS, encode_cameras(T, moved, SIZE)[None])
    assert (free.depth - given.depth).abs().max() > 1e-3
    torch.testing.assert_close(given.depth, again.depth)


def test_given_cameras_are_seen_in_any_world_and_unit(da3: Da3) -> None:
    """More than two cameras that are not all close to the first one."""
    T, world = poses(4), torch.from_numpy(se3.exp(np.array([0.3, -0.8, 0.2, 5, 1, -3.0])))
    other = T @ world
    other[:, :3, 3] *= 7.0
    torch.testing.assert_close(encodings(other), encodings(T), atol=1e-9, rtol=1e-9)
    assert normalise(other).unit == pytest.approx(7 * normalise(T).unit)


def test_unit_is_the_lower_median_distance_and_at_least_a_tenth() -> None:
    T = torch.eye(4, dtype=torch.float64).repeat(4, 1, 1)
    T[:, 0, 3] = torch.tensor([0.0, 2.0, 3.0, 9.0])
    assert normalise(T).unit == 2.0  # of 0, 2, 3, 9
    assert normalise(T[:3]).unit == 2.0
    two = normalise(T[:2])
    assert two.unit == 0.1
    assert float(two.T_cam_first[1, 0, 3]) == pytest.approx(20.0)


def test_cameras_survive_their_encoding() -> None:
    T = poses(6)
    K = torch.tensor([[50.0, 0, 28], [0, 61.0, 21], [0, 0, 1]], dtype=torch.float64).repeat(6, 1, 1)
    T_back, K_back = decode_cameras(encode_cameras(T, K, SIZE), SIZE)
    torch.testing.assert_close(T_back, T)
    torch.testing.assert_close(K_back, K)
    centre = encode_cameras(T, K, SIZE)[:, :3]
    torch.testing.assert_close(centre, torch_se3.inverse(T)[:, :3, 3])


def test_an_impossible_field_of_view_has_a_huge_focal_length() -> None:
    encoding = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 0.0, 3.5]], dtype=torch.float64)
    _, K = decode_cameras(encoding, SIZE)
    assert K[0, 1, 1] == pytest.approx(21 / 1e-6)
    assert K[0, 0, 0] == pytest.approx(28 / 1e-6)


def test_every_norm_has_its_epsilon(da3: Da3) -> None:
    eps = {n: m.eps for n, m in da3.named_modules() if isinstance(m, torch.nn.LayerNorm)}
    block = {n: e for n, e in eps.items() if ".blocks." in n and n.endswith(("norm1", "norm2"))}
    assert len(block) == 2 * DA3_TINY.depth
    assert set(block.values()) == {1e-6}
    others = {n: e for n, e in eps.items() if n not in block}
    assert {"backbone.pretrained.norm", "head.norm", "cam_enc.token_norm", "cam_enc.trunk_norm"} <= set(others)
    assert sum(n.endswith((".q_norm", ".k_norm")) for n in others) == 2 * 8
    assert set(others.values()) == {1e-5}


def cubic_taps(n: int, grid: int) -> np.ndarray:
    """(n,grid): weights of the four nearest of `grid` samples at the n positions, A = -0.75, clamped to the border."""
    a = -0.75

    def weight(d: float) -> float:
        d = abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    out = np.zeros((n, grid))
    for i in range(n):
        y = (i + 0.5) * grid / (n + 0.1) - 0.5
        for k in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
            out[i, min(max(k, 0), grid - 1)] += weight(y - k)
    return out


@pytest.mark.parametrize(("rows", "cols"), [(20, 11), (40, 51), (37, 36)])
def test_position_embedding_is_sampled_where_the_factors_say(rows: int, cols: int) -> None:
    grid, stream = 37, np.random.default_rng(4)
    own = stream.standard_normal((grid, grid, 2))
    pos = torch.cat([torch.full((1, 1, 2), -7.0), torch.from_numpy(own).reshape(1, -1, 2)], dim=1)
    out = resized_position(pos, grid, rows, cols)
    assert (out[0, 0] == -7.0).all()
    expected = np.einsum("ia,jb,abc->ijc", cubic_taps(rows, grid), cubic_taps(cols, grid), own)
    np.testing.assert_allclose(out[0, 1:].reshape(rows, cols, 2).numpy(), expected, atol=1e-9)
    assert resized_position(pos, grid, grid, grid) is pos


def test_only_the_square_of_its_own_size_is_used_as_it_is() -> None:
    pos = torch.rand(1, 1 + 36, 4, dtype=torch.float64)
    wide = resized_position(pos, 6, 4, 9)
    assert wide.shape == pos.shape
    assert not torch.allclose(wide, pos)


def test_reference_is_the_view_in_the_middle() -> None:
    """Three views along a line of directions with lengths in the same order: the one between the two others."""
    angle = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    direction = torch.stack([angle.cos(), angle.sin(), torch.zeros(3)], dim=-1)
    tokens = (direction * torch.tensor([1.0, 2.0, 3.0])[:, None])[[2, 1, 0]][None]
    assert choose_reference(tokens, ReferenceChoice.BALANCED).item() == 1
    assert choose_reference(tokens, ReferenceChoice.FIRST).item() == 0
    assert choose_reference(tokens[:, [0, 1]], ReferenceChoice.MIDDLE).item() == 1
    unlike = functional.normalize(torch.tensor([[[1.0, 0, 0], [1, 0.1, 0], [-1, 0.2, 0]]]), dim=-1)
    assert choose_reference(unlike, ReferenceChoice.RANGE).item() == 0


def test_rays_change_nothing_else_and_can_be_left_out(da3: Da3) -> None:
    images = pictures(2)
    with torch.no_grad():
        with_rays, without = da3(images, rays=True), da3(images)
    assert torch.equal(with_rays.depth, without.depth)
    assert without.rays is None
    assert with_rays.rays.shape == (1, 2, 8 * 3, 8 * 4, 6)
    assert (with_rays.ray_confidence > 1).all()
    assert (with_rays.depth_confidence > 1).all()


def test_descriptors_alone_are_those_of_the_whole(da3: Da3) -> None:
    images = pictures(4)
    with torch.no_grad():
        whole, alone = da3.encode(images, HEADS), da3.encode(images, ())
        by_itself = da3.encode(images[:, 2:3], ())
    torch.testing.assert_close(alone.descriptor, whole.descriptor)
    torch.testing.assert_close(by_itself.descriptor[:, 0], whole.descriptor[:, 2])


def test_what_cannot_be_is_refused(da3: Da3) -> None:
    with pytest.raises(ConfigError, match="multiples of 14"):
        da3(torch.rand(1, 1, 3, 40, 56, dtype=torch.float64))
    with pytest.raises(ConfigError, match="no head for points"):
        da3.encode(pictures(1), {Head.POINTS})
    with pytest.raises(ConfigError, match="must read blocks that see all views"):
        Da3Config(dense=DptConfig(64, (48, 96, 192, 384), (4, 7, 9, 11)))
