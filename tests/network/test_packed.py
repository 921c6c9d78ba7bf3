"""Weights in 8 bits: what is written comes back within half a step, and what is damaged is refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgslam.errors import WeightsError
from vgslam.network.weight_files import (
    LEAST_NUMBERS,
    METADATA_PACKING,
    ROWS_OF_8_BITS,
    SCALE,
    packed,
    read_header,
    read_tensors,
    unpacked,
    write_tensors,
)

PACKED = {METADATA_PACKING: ROWS_OF_8_BITS}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e4))
def test_a_weight_is_off_by_half_a_step_of_its_row_at_most(seed: int, size: float) -> None:
    weights = size * torch.randn(16, 8, 9, generator=torch.Generator().manual_seed(seed))
    weights[3] = 0.0
    back = unpacked(packed({"a": weights}), PACKED, "file")["a"]
    half = weights.flatten(1).abs().amax(1) / 127 / 2
    assert ((back - weights).abs().flatten(1) <= half[:, None] * 1.001).all()
    assert (back[3] == 0).all()


def test_a_row_by_hand() -> None:
    row = torch.zeros(2, LEAST_NUMBERS // 2)
    row[0, :4] = torch.tensor([1.27, -0.5, 0.014, 0.016])
    out = packed({"a": row})
    assert out["a"].dtype == torch.int8
    assert out["a"][0, :4].tolist() == [127, -50, 1, 2]
    assert out["a" + SCALE].tolist() == pytest.approx([0.01, 0.0])


def test_vectors_and_what_is_small_stay_as_they_are() -> None:
    tensors = {"v": torch.randn(5000).half(), "m": torch.randn(3, LEAST_NUMBERS // 3)}
    assert packed(tensors) == tensors


def test_a_file_says_that_it_is_packed_and_how_many_numbers_it_holds(tmp_path: Path) -> None:
    tensors = {"m": torch.randn(64, 32), "v": torch.randn(7)}
    write_tensors(tmp_path / "p.safetensors", packed(tensors), PACKED)
    read, metadata = read_tensors((tmp_path / "p.safetensors",))
    assert read.keys() == tensors.keys()
    assert metadata == PACKED
    assert torch.allclose(read["m"], tensors["m"], atol=0.03)
    assert read_header(tmp_path / "p.safetensors").n_parameters == 64 * 32 + 7
    plain = {"m": tensors["m"], "m" + SCALE: torch.ones(64)}  # a name like any other where nothing is packed
    write_tensors(tmp_path / "n.safetensors", plain, {})
    assert read_tensors((tmp_path / "n.safetensors",))[0].keys() == plain.keys()
    assert read_header(tmp_path / "n.safetensors").n_parameters == 64 * 32 + 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, m: m.update({METADATA_PACKING: "int4"}), "'int4'"),
        (lambda t, m: t.pop("m" + SCALE), "m has no scales"),
        (lambda t, m: t.pop("m"), "scales without numbers"),
        (lambda t, m: t.update({"m" + SCALE: torch.ones(63)}), "do not fit"),
        (lambda t, m: t.update({"m" + SCALE: torch.ones(64, dtype=torch.int32)}), "do not fit"),
        (lambda t, m: t.update({"m": torch.ones(64, 32)}), "scales without numbers"),
        (lambda t, m: t.update({"m" + SCALE: torch.full((64,), float("inf"))}), "not finite"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tensors, metadata = packed({"m": torch.randn(64, 32)}), dict(PACKED)
    change(tensors, metadata)
    write_tensors(tmp_path / "p.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match=words) as raised:
        read_tensors((tmp_path / "p.safetensors",))
    assert "\n" not in str(raised.value)


def test_the_tool_packs_a_network_that_answers_nearly_the_same(tmp_path: Path) -> None:
    from tools.pack_weights import pack
    from vgslam.network.config import VGGT_TINY
    from vgslam.network.vggt import build
    from vgslam.network.weights import load, save

    save(build(VGGT_TINY, 3), tmp_path / "fine.safetensors", "Apache-2.0", torch.float16)
    pack(tmp_path / "fine.safetensors", tmp_path / "packed.safetensors")
    fine, coarse = load(str(tmp_path / "fine.safetensors")), load(str(tmp_path / "packed.safetensors"))
    assert coarse.info.n_parameters == fine.info.n_parameters
    assert coarse.info.licence == fine.info.licence
    assert coarse.model.config == fine.model.config
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("fine", "packed")]
    assert sizes[1] < 0.62 * sizes[0]
    for (name, a), b in zip(fine.model.state_dict().items(), coarse.model.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=float(a.abs().max()) / 127), name
