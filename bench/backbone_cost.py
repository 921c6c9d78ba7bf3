"""Time, memory and arithmetic of any backbone, asked as the tracking asks it: encode, then decode."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.network_profile import ProfileRow, measure
from vgslam.interfaces import Backbone
from vgslam.network.preprocess import NetworkImages
from vgslam.network.vggt import Head

WANT = frozenset({Head.POSE, Head.DEPTH})


def backbone_rows(
    backbone: Backbone[Any], device: torch.device, precision: str, sizes: Sequence[int], images_px: tuple[int, int],
    repeats: int, warm_up: bool = True,
) -> Iterator[ProfileRow]:  # fmt: skip
    """Rows for `encode` and `decode` of poses and depth of windows of noise; images_px: (height, width) of the images.

    Sizes in the rows are those that the backbone made of them. Peaks are the process's, or CUDA's, and measured.
    """
    stream = np.random.RandomState(0)
    for n in sizes:
        images = backbone.prepare([stream.randint(0, 256, (*images_px, 3), np.uint8) for _ in range(n)])
        stages = (
            ("encode", partial(backbone.encode, images, WANT)),
            ("decode", partial(_decode, backbone, backbone.encode(images, WANT), images)),
        )
        for name, run in stages:
            m, _ = measure(run, device, repeats, warm_up)
            peak = m.cuda_peak_bytes if m.cuda_peak_bytes is not None else m.process_bytes
            yield ProfileRow(
                str(device), precision, "dense", n, *images.size, name, m.time_s, m.cpu_s, peak or 0, True,
                _flops(run), m.added_bytes, m.process_bytes,
            )  # fmt: skip


def _decode(backbone: Backbone[Any], tokens: Any, images: NetworkImages) -> object:
    return backbone.decode(tokens, images, WANT)


def _flops(run: partial[Any]) -> int:
    """Counted in one more run, with the plain attention: torch's fused one is not in the counter's list."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return int(counter.get_total_flops())
