"""Attention under a frame-level mask: equal to dense attention with a boolean mask, for the allowed cells only."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from vgslam.network import frame_mask
from vgslam.network.frame_mask import FrameMask, MaskBackend, attend
from vgslam.network.vggt import Head, Vggt


@st.composite
def frame_masks(draw: st.DrawFn) -> FrameMask:
    n = draw(st.integers(1, 7))
    cells = np.array(draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))).reshape(n, n)
    own = draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    cells[np.arange(n), own] = True  # a row must allow something
    return FrameMask(cells)


def dense_reference(q, k, v, mask: FrameMask):
    """Boolean mask over all tokens."""
    t = q.shape[3]
    allow = torch.from_numpy(mask.allow.copy()).repeat_interleave(t, 0).repeat_interleave(t, 1)
    out = functional.scaled_dot_product_attention(*(x.flatten(2, 3) for x in (q, k, v)), attn_mask=allow)
    return out.unflatten(2, q.shape[2:4])


def random_qkv(n: int, seed: int, batch: int = 2, tokens: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 2, n, tokens, 4)
    return [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)]


@settings(max_examples=60, deadline=None)
@given(mask=frame_masks(), seed=st.integers(0, 99), chunk=st.sampled_from([None, 1, 4]))
def test_equals_boolean_mask_forward_and_gradient(mask: FrameMask, seed: int, chunk: int | None) -> None:
    ours, theirs = random_qkv(mask.n_frames, seed), random_qkv(mask.n_frames, seed)
    a, b = attend(*ours, mask, chunk), dense_reference(*theirs, mask)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    weight = torch.linspace(-1, 1, a.numel(), dtype=torch.float64).view_as(a)
    (a * weight).sum().backward()
    (b * weight).sum().backward()
    for x, y in zip(ours, theirs):
        torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("mask", [FrameMask.star(6), FrameMask.dilated(6), FrameMask.causal(5)])
def test_flex_attention_computes_the_same(mask: FrameMask) -> None:
    q, k, v = (x.detach().float() for x in random_qkv(mask.n_frames, 3, tokens=8))
    found = attend(q, k, v, mask, backend=MaskBackend.FLEX)
    torch.testing.assert_close(found, dense_reference(q, k, v, mask), rtol=1e-5, atol=1e-5)


def test_the_figures_masks() -> None:
    """The grids of the paper's figure at N = 8 (34 and 46 cells; causal 36)."""
    star = FrameMask.star(8)
    expected = np.eye(8, dtype=bool)
    expected[0] = expected[-1] = expected[:, 0] = expected[:, -1] = True
    assert np.array_equal(star.allow, expected)
    assert (star.n_cells, FrameMask.dilated(8).n_cells, FrameMask.causal(8).n_cells) == (34, 46, 36)
    assert FrameMask.dilated(8).allow[2].tolist() == [True, False, True, False, True, False, True, True]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 11, 40])
def test_star_takes_5n_minus_6_cells_in_two_calls(n: int, monkeypatch) -> None:
    """The attention calls that are made multiply exactly the allowed cells: linear in the number of frames."""
    calls: list[int] = []
    original = functional.scaled_dot_product_attention

    def counting(q, k, v):
        calls.append(q.shape[0] * q.shape[2] * k.shape[2])
        return original(q, k, v)

    monkeypatch.setattr(frame_mask.functional, "scaled_dot_product_attention", counting)
    q, k, v = random_qkv(n, 0, batch=1)
    attend(q, k, v, FrameMask.star(n))
    assert sum(calls) == FrameMask.star(n).n_cells * 3 * 3
    assert FrameMask.star(n).n_cells == (5 * n - 6 if n > 2 else n * n)
    assert len(calls) == (2 if n > 3 else 1)
    assert FrameMask.star(n).is_dense == (n <= 3)


@torch.no_grad()
def test_network_under_a_mask(model: Vggt, images) -> None:
    """A dense mask changes nothing; under the star the middle frames do not see each other, but depend on the ends."""
    frames = torch.cat([images, images.flip(-1)[:, 1:]], dim=1)
    dense = model(frames, {Head.DEPTH}, mask=FrameMask.dense(5)).depth
    torch.testing.assert_close(dense, model(frames, {Head.DEPTH}).depth, rtol=0, atol=1e-9)
    star = model(frames, {Head.DEPTH}, mask=FrameMask.star(5)).depth
    assert (star - dense).abs().max() > 1e-3


@torch.no_grad()
def test_isolated_frames_do_not_mix(model: Vggt, images) -> None:
    """With the identity as mask each frame is a scene of its own (slot 0 of the learned tokens aside)."""
    frames = images[:, [0, 1, 2]]
    changed = frames.clone()
    changed[:, 1] = 1 - changed[:, 1]
    isolated = FrameMask(np.eye(3, dtype=bool))
    a, b = (model(x, {Head.DEPTH}, mask=isolated).depth for x in (frames, changed))
    torch.testing.assert_close(a[:, [0, 2]], b[:, [0, 2]], rtol=0, atol=1e-10)
    assert (a[:, 1] - b[:, 1]).abs().max() > 1e-3


def test_masked_inference_equals_training_mode(model: Vggt, images) -> None:
    frames = torch.cat([images, images.flip(-1)[:, 1:]], dim=1)
    mask = FrameMask.dilated(5)
    with torch.no_grad():
        lean = model(frames, {Head.DEPTH}, mask=mask).depth
    recorded = model(frames, {Head.DEPTH}, mask=mask).depth
    torch.testing.assert_close(recorded.detach(), lean, rtol=0, atol=1e-9)


def test_bad_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        FrameMask(np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="frame 1 may attend to no frame"):
        FrameMask([[True, True], [False, False]])
    q, k, v = random_qkv(4, 0)
    with pytest.raises(ValueError, match="mask of 3 frames"):
        attend(q, k, v, FrameMask.star(3))


def test_masks_are_values() -> None:
    assert FrameMask.star(4) == FrameMask.star(4)
    assert len({FrameMask.star(4), FrameMask.star(4), FrameMask.causal(4)}) == 2
    with pytest.raises(ValueError, match="read-only"):
        FrameMask.star(4).allow[0, 0] = False
