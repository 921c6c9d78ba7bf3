"""Compiled blocks compute what eager ones do, and few graphs serve all of them."""

from typing import Any

import torch

from bench.compiled import compile_blocks
from vgslam.network.frame_mask import FrameMask
from vgslam.network.vggt import Head, Vggt


def test_the_same_numbers_with_few_graphs(fresh_model: Vggt, images: torch.Tensor) -> None:
    compiled: list[int] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        compiled.append(len(inputs))
        return graph.forward

    mask = FrameMask.star(images.shape[1])
    want = {Head.POSE, Head.DEPTH}
    with torch.no_grad():
        exact, sparse = fresh_model(images, want), fresh_model(images, want, mask=mask)
        compile_blocks(fresh_model, counting)
        for reference, chosen in ((exact, None), (sparse, mask)):
            out = fresh_model(images, want, mask=chosen)
            torch.testing.assert_close(out.depth, reference.depth, rtol=0, atol=0)
            torch.testing.assert_close(out.pose_encoding, reference.pose_encoding, rtol=0, atol=0)
    n_blocks = len(fresh_model.aggregator.frame_blocks) + len(fresh_model.aggregator.patch_embed.blocks)
    assert 0 < len(compiled) <= 12, f"{len(compiled)} graphs for {n_blocks} frame and {n_blocks} other blocks"
