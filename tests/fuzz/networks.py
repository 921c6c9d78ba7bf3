"""Weights, adapters, indexes of several files, configurations of networks."""

import copy
import json
import random
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch
from da3_tiny import DA3_TINY
from fuzz.grammar import NESTED, VALUES, as_json
from fuzz.mutations import SEEDS, mostly, mutated_bytes, mutated_files
from fuzz.parser import Files, Parser, read_files
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from safetensors.torch import save as as_bytes

from vgslam.errors import WeightsError
from vgslam.network.config import VGGT_TINY, AggregatorConfig, CameraHeadConfig, DptConfig, EncoderConfig, VggtConfig
from vgslam.network.da3.find import check_headers, config_of
from vgslam.network.lora import LoraConfig, add_lora, load_adapter, save_adapter
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.files import METADATA_BASE, METADATA_RELOC, load_reloc, own_parameters
from vgslam.network.reloc.network import build_reloc
from vgslam.network.vggt import Vggt, build
from vgslam.network.weight_files import find_files
from vgslam.network.weights import LoadOptions, load, save
from vgslam.network.weights_info import find_config

BASE = "a" * 64
SMALL = VggtConfig(
    image_size=56,
    width=16,
    encoder=EncoderConfig(1, 2, 4),
    aggregator=AggregatorConfig(1, 2),
    camera=CameraHeadConfig(1, 2),
    depth=DptConfig(8, (8, 8, 8, 8), (0, 0, 0, 0)),
    points=None,
    track=None,
)
LORA = LoraConfig(rank=2)


@cache
def base() -> Vggt:
    """A small network."""
    torch.set_num_threads(1)
    return build(SMALL, 0)


def weights_samples() -> list[Files]:
    """A file of weights, the same pickled, and the same in two files with an index."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save(base(), path, "Apache-2.0")
        tensors = load_file(path)
        pickled = Path(folder) / "model.pt"
        torch.save(tensors, pickled)
        torch.save(tensors, Path(folder) / "old.pt", _use_new_zipfile_serialization=False)
        whole, zipped, old = path.read_bytes(), pickled.read_bytes(), (Path(folder) / "old.pt").read_bytes()
    names = sorted(tensors)
    half = {n: tensors[n] for n in names[:9]}, {n: tensors[n] for n in names[9:]}
    index = {"weight_map": {n: f"m-{int(n in half[1])}.safetensors" for n in names}}
    config = as_json({"vgslam.config": SMALL.to_dict(), "model_name": "da3-small"})
    parts = {f"m-{i}.safetensors": as_bytes(part) for i, part in enumerate(half)}
    return [
        {"model.safetensors": whole},
        {"model.pt": zipped, "config.json": config},
        {"model.pt": old, "config.json": config},
        {**parts, "model.safetensors.index.json": as_json(index), "config.json": config},
    ]


def adapter_samples() -> list[Files]:
    """An adapter of low rank and one for relocalization."""
    model = copy.deepcopy(base())
    add_lora(model, LORA)
    reloc = build_reloc(copy.deepcopy(base()), RelocConfig(hidden=8))
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(model, LORA, Path(folder) / "lora.safetensors", BASE, 3)
        state = {k: v.detach().contiguous() for k, v in own_parameters(reloc).items()}
        about = {METADATA_RELOC: reloc.config.to_json(), METADATA_BASE: BASE}
        save_file(state, Path(folder) / "reloc.safetensors", metadata=about)
        return [{name: data} for name, data in read_files(Path(folder)).items()]


def read_weights(folder: Path) -> None:
    """Loaded as weights of VGGT; their header and configuration read as those of Depth-Anything-3."""
    load(str(folder), LoadOptions(ledger=folder.parents[1] / "out" / "licences.json"), show=str)
    with suppress(WeightsError):
        config_of(find_files(folder), check_headers(find_files(folder)), DA3_TINY)


def read_config(folder: Path) -> None:
    """A configuration in the header of a file without weights."""
    found = find_files(folder)
    metadata = check_headers(found)
    with suppress(WeightsError):
        config_of(found, metadata, DA3_TINY)
    find_config(metadata, None)


def read_adapter(folder: Path) -> None:
    """Each file, put onto a copy of the network."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("lora"):
            load_adapter(copy.deepcopy(base()), path, BASE)
        else:
            load_reloc(copy.deepcopy(base()), path, BASE)


def with_header(data: bytes, change: dict[str, object]) -> bytes:
    """A safetensors file with other entries in its metadata; texts stay texts, other values become what they are."""
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    header.setdefault("__metadata__", {}).update(change)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + data[8 + n :]


@cache
def _samples_of(kind: str) -> list[Files]:
    return {"weights": weights_samples, "adapters": adapter_samples}[kind]()


def _configured(config: dict[str, object], change: dict[str, object]) -> bytes:
    return as_json({**config, **change})


def _other_numbers(seed: int, config: dict[str, object]) -> bytes:
    return mutated_bytes(as_json(config), random.Random(seed), (b"256", b"100000", b"-1", b"0", b"1.5", b'"8"', b"100"))


CHANGES = st.dictionaries(
    st.sampled_from([*asdict(SMALL), *asdict(LORA), *asdict(RelocConfig()), "x"]), VALUES, max_size=3
)
CONFIGS = st.one_of(
    st.tuples(st.sampled_from([SMALL.to_dict(), VGGT_TINY.to_dict(), DA3_TINY.to_dict()]), CHANGES).map(
        lambda p: _configured(*p)
    ),
    st.tuples(SEEDS, st.sampled_from([SMALL.to_dict(), DA3_TINY.to_dict()])).map(lambda p: _other_numbers(*p)),
    NESTED,
)
ADAPTERS = st.one_of(
    st.tuples(st.sampled_from([asdict(LORA), asdict(RelocConfig(hidden=8))]), CHANGES).map(lambda p: _configured(*p)),
    st.tuples(SEEDS, st.sampled_from([asdict(LORA), asdict(RelocConfig(hidden=8))])).map(lambda p: _other_numbers(*p)),
)


def _weights_with(config: bytes, key: str = "vgslam.config") -> Files:
    data = _samples_of("weights")[0]["model.safetensors"]
    about: dict[str, object] = {key: config.decode("utf-8", "replace")}
    return {"model.safetensors": with_header(data, about)}


def _adapter_with(config: bytes) -> Files:
    text = config.decode("utf-8", "replace")
    return {
        n: with_header(d, {"vgslam.lora": text, METADATA_RELOC: text})
        for files in _samples_of("adapters")
        for n, d in files.items()
    }


def _without_weights(config: bytes) -> Files:
    about: dict[str, object] = {"vgslam.config": config.decode("utf-8", "replace")}
    return {"model.safetensors": with_header((2).to_bytes(8, "little") + b"{}", about)}


WORDS = (
    b"F32",
    b"I64",
    b"data_offsets",
    b"__metadata__",
    b"../../canary",
    b"/dev/zero",
    b"weight_map",
    b"100000000000",
    b"[]",
)
PARSERS = [
    Parser(
        "weights",
        mostly(mutated_files(lambda: _samples_of("weights"), WORDS), CONFIGS.map(_weights_with)),
        read_weights,
        prepare=lambda: _samples_of("weights"),
    ),
    Parser("network configuration", CONFIGS.map(_without_weights), read_config, prepare=base),
    Parser(
        "adapter",
        mostly(mutated_files(lambda: _samples_of("adapters"), WORDS), ADAPTERS.map(_adapter_with)),
        read_adapter,
        prepare=lambda: _samples_of("adapters"),
    ),
]
