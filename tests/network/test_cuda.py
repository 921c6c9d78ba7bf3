"""The same numbers on a GPU. The arithmetic itself is tested on the CPU; this is about kernels and devices."""

import pytest
import torch

from bench.network_profile import AGGREGATOR, ProfileCase, profile
from vgslam.network.frame_mask import FrameMask, MaskBackend, attend
from vgslam.network.precision import set_precision
from vgslam.network.vggt import PUBLISHED_HEADS, Head, Vggt

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@torch.no_grad()
def test_float64_equals_the_cpu(fresh_model: Vggt, images, queries) -> None:
    on_cpu = fresh_model(images, PUBLISHED_HEADS, queries)
    on_gpu = fresh_model.cuda()(images.cuda(), PUBLISHED_HEADS, queries.cuda())
    torch.testing.assert_close(on_gpu.depth.cpu(), on_cpu.depth, rtol=0, atol=1e-8)
    torch.testing.assert_close(on_gpu.pose_encoding.cpu(), on_cpu.pose_encoding, rtol=0, atol=1e-8)
    torch.testing.assert_close(on_gpu.tracks.positions[0].cpu(), on_cpu.tracks.positions[0], rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(fresh_model: Vggt, images, dtype: torch.dtype) -> None:
    model, x = fresh_model.float().cuda(), images.float().cuda()
    exact = model(x, {Head.DEPTH}).depth
    set_precision(model, dtype)
    half = model(x, {Head.DEPTH}).depth
    assert half.dtype is torch.float32
    assert (half - exact).abs().max() < 0.1 * exact.abs().max()


@torch.no_grad()
def test_flex_attention_equals_grouped() -> None:
    mask = FrameMask.star(6)
    q, k, v = (torch.randn(1, 4, 6, 128, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    grouped, flex = (attend(q, k, v, mask, backend=b) for b in (MaskBackend.GROUPED, MaskBackend.FLEX))
    torch.testing.assert_close(grouped, flex, rtol=0, atol=2e-2)
    assert attend(q, k, v, mask, backend=MaskBackend.AUTO).shape == q.shape


def test_memory_is_measured(fresh_model: Vggt) -> None:
    rows = list(profile(fresh_model.float().cuda(), [ProfileCase(3, 40, 56)], {Head.DEPTH}, repeats=1))
    assert rows[0].stage == AGGREGATOR
    assert all(row.is_memory_measured and row.peak_bytes > 0 for row in rows)
