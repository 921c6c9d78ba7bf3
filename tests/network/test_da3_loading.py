"""Weights of Depth-Anything-3: what loads, what is refused and with which line, offline and from the cache."""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from da3_tiny import DA3_TINY
from safetensors.torch import load_file, save_file

from vgslam.errors import ConfigError, VgslamError, WeightsError, WeightsNotFoundError
from vgslam.network import licence
from vgslam.network.da3 import find
from vgslam.network.da3.config import DA3_SMALL
from vgslam.network.da3.find import PUBLISHED, Published
from vgslam.network.da3.loading import PREFIX, Da3LoadOptions, load, save
from vgslam.network.da3.network import Da3, random_network

ALIAS = PREFIX + "head.scratch.output_conv2_aux.3.2.weight"
KEPT = PREFIX + "head.scratch.output_conv2_aux.0.2.weight"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tiny() -> Da3:
    return random_network(DA3_TINY, 1)


@pytest.fixture
def saved(tiny: Da3, tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "model.safetensors"
    save(tiny, path, "Apache-2.0")
    return path


@pytest.fixture
def options(tmp_path: Path) -> Da3LoadOptions:
    return Da3LoadOptions(has_rays=True, ledger=tmp_path / "licences.json", hub_cache=tmp_path / "cache")


def refused(source: object, options: Da3LoadOptions, kind: type[VgslamError] = WeightsError) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(kind) as caught:
        load("da3-small", str(source), options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_equal_weights(a: Da3, b: Da3) -> None:
    left, right = a.state_dict(), b.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[k], right[k]) for k in left)


def test_file_and_folder_round_trip(saved: Path, tiny: Da3, options: Da3LoadOptions) -> None:
    stored = load_file(saved)
    assert all(key.startswith(PREFIX) for key in stored)
    assert ALIAS not in stored
    for source in (saved, saved.parent):
        loaded = load("da3-small", str(source), options)
        assert_equal_weights(loaded.network, tiny)
        assert loaded.info.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
        assert loaded.info.licence.name == "Apache-2.0"
        assert loaded.info.n_parameters == sum(p.numel() for p in tiny.parameters())


def test_without_rays_they_take_no_memory(saved: Path, tiny: Da3, options: Da3LoadOptions) -> None:
    loaded = load("da3-small", str(saved), replace(options, has_rays=False))
    assert not any("_aux" in name for name in loaded.network.state_dict())
    images = torch.rand(1, 2, 3, 28, 42)
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images).depth, tiny(images).depth)


def test_the_level_that_is_used_reads_the_norm_that_is_in_the_file(saved: Path, options: Da3LoadOptions) -> None:
    tensors = load_file(saved)
    network = load("da3-small", str(saved), options).network
    outputs = network.head.scratch.output_conv2_aux
    assert torch.equal(outputs[3][2].weight, tensors[KEPT])
    assert outputs[3][2].weight is outputs[0][2].weight


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
@pytest.mark.parametrize("prefix", [True, False])
def test_files_that_hold_the_aliases_load_too(
    ending: str, prefix: bool, tiny: Da3, tmp_path: Path, options: Da3LoadOptions
) -> None:
    state = {(PREFIX if prefix else "") + k: v.clone() for k, v in tiny.state_dict().items()}
    path = tmp_path / f"all.{ending}"
    save_file(state, path) if ending == "safetensors" else torch.save(state, path)
    assert_equal_weights(load("da3-small", str(path), replace(options, config=DA3_TINY)).network, tiny)


def test_strict_about_all_else(saved: Path, tmp_path: Path, options: Da3LoadOptions) -> None:
    options, tensors = replace(options, config=DA3_TINY), load_file(saved)
    norm = PREFIX + "backbone.pretrained.norm.weight"
    changes = {
        "1 missing (backbone.pretrained.norm.weight)": {norm: None},
        "1 unexpected (head.more)": {PREFIX + "head.more": torch.zeros(1)},
        "1 of another shape (backbone.pretrained.norm.weight (47,) instead of (48,))": {norm: torch.ones(47)},
        "of type torch.int64": {norm: torch.ones(48, dtype=torch.int64)},
        "are one tensor of the network, but differ": {ALIAS: tensors[KEPT] + 1},
        "some names of tensors begin with": {"head.more": torch.zeros(1)},
        "6 missing": {KEPT: None, KEPT.replace("weight", "bias"): None},
    }
    for message, change in changes.items():
        path = tmp_path / "changed.safetensors"
        save_file({k: v for k, v in (tensors | change).items() if v is not None}, path)
        line = refused(path, options)
        assert message in line or (message == "6 missing" and "of another shape" in line), line


def test_architecture_from_config_json_or_by_name(saved: Path, tmp_path: Path, options: Da3LoadOptions) -> None:
    """A file that names none is taken for what was asked for: its shapes tell."""
    plain = tmp_path / "plain" / "model.safetensors"
    plain.parent.mkdir()
    save_file(load_file(saved), plain)
    assert "do not fit the network" in refused(plain, options)  # it is not da3-small
    beside = plain.parent / "config.json"
    beside.write_text(json.dumps({"model_name": "da3-base", "config": {}}))
    assert "holds weights of da3-base and not of da3-small: use --network da3-base" in refused(plain, options)
    beside.write_text(json.dumps({"model_name": "da3-giant"}))
    assert "the network 'da3-giant' cannot be run here" in refused(plain, options)
    for text in ("{", "{}", "[1]", '{"model_name": 3}', "[" * 100_000):
        beside.write_text(text)
        assert "model_name" in refused(plain, options)
    beside.write_text(" " * (find.MAX_CONFIG_BYTES + 1))
    assert "too many for a configuration" in refused(plain, options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (struct.pack("<Q", 1 << 62) + b"{" + b" " * 90, "its header of 4611686018427387904 bytes is not that of"),
        (struct.pack("<Q", 50) + b'{"a": 1' + b" " * 43, "header cannot be read"),
        (struct.pack("<Q", 30) + b'{"__metadata__": ["text"]}    ', "header cannot be read"),
        (struct.pack("<Q", 30) + b'{"__metadata__": {"a": [1]}}  ', "metadata are no text"),
        (struct.pack("<Q", 60) + b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": []}}   ', "header cannot be"),
        (struct.pack("<Q", 400_000) + b"{" + b'"a":[' * 79_999 + b"    ", "header cannot be read"),
    ],
)
def test_damaged_headers(content: bytes, message: str, tmp_path: Path, options: Da3LoadOptions) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    assert message in refused(tmp_path / "bad.safetensors", options)


def test_half_a_file_and_another_hash(saved: Path, options: Da3LoadOptions) -> None:
    assert "its SHA-256 is" in refused(saved, replace(options, sha256="0" * 64))
    saved.write_bytes(saved.read_bytes()[:-100])
    assert "download it again" in refused(saved, options)


def in_cache(saved: Path, cache: Path, repo: str = "DA3-SMALL") -> Path:
    """The file, where an earlier download of the pinned commit would have left it."""
    folder = cache / f"models--depth-anything--{repo}" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return saved.rename(folder / "model.safetensors")


def test_offline_from_the_cache_with_the_pinned_hash(saved: Path, options: Da3LoadOptions, monkeypatch) -> None:
    """The real client; the pins are those of the small file."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    pin = Published("depth-anything/DA3-SMALL", licence.APACHE_2, 1, COMMIT, digest)
    monkeypatch.setitem(PUBLISHED, "da3-small", pin)
    where = in_cache(saved, options.hub_cache)
    said: list[str] = []
    for source in ("", "depth-anything/DA3-SMALL", f"depth-anything/DA3-SMALL@{COMMIT}"):
        info = load("da3-small", source, options, said.append).info
        assert info.licence is licence.APACHE_2
        assert info.source == (source or "depth-anything/DA3-SMALL")
    assert said == [licence.APACHE_2.terms]
    with where.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert "delete it and fetch it again" in refused("", options)


def test_without_network_and_cache_it_says_what_to_fetch(options: Da3LoadOptions, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = refused("", options, WeightsNotFoundError)
    assert "model.safetensors (137 MB) and config.json from https://huggingface.co/depth-anything/DA3-SMALL" in line
    assert "--weights FOLDER" in line
    assert WeightsNotFoundError.exit_code == WeightsError.exit_code
    assert "no such file or folder" in refused(tmp_path / "gone", options, WeightsNotFoundError)


def test_a_download_resumes_at_the_pinned_commit(saved: Path, options: Da3LoadOptions, monkeypatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def snapshot(repo, revision, cache_dir, allow_patterns, local_files_only=False):
        if local_files_only:
            raise LocalEntryNotFoundError("not there")
        asked.append((repo, revision))
        return str(saved.parent)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert "SHA-256" in refused("", options)  # it is not the published file
    assert asked == [("depth-anything/DA3-SMALL", PUBLISHED["da3-small"].revision)]
    loaded = load("da3-small", "depth-anything/DA3-SMALL@other", options)
    assert asked[-1] == ("depth-anything/DA3-SMALL", "other")
    assert loaded.info.licence is licence.APACHE_2


@pytest.mark.parametrize("source", ["depth-anything/DA3-LARGE-1.1", "depth-anything/DA3NESTED-GIANT-LARGE"])
def test_non_commercial_weights_are_refused_before_they_are_fetched(source: str, options: Da3LoadOptions) -> None:
    line = refused(source, options, ConfigError)
    assert "non-commercial use only: add --accept-licence CC-BY-NC-4.0" in line
    if "NESTED" in source:
        accepted = replace(options, accepted_licence="CC-BY-NC-4.0")
        assert "another structure" in refused(source, accepted, ConfigError)
    find.require_acceptance(source, "CC-BY-NC-4.0")
    find.require_acceptance("depth-anything/DA3-BASE", None)


def test_random_weights_say_so(options: Da3LoadOptions) -> None:
    said: list[str] = []
    a, b, c = (
        load("da3-small", source, replace(options, config=DA3_TINY), said.append)
        for source in ("random", "random:0", "random:1")
    )
    assert a.info.is_random
    assert a.info.model_id == "da3-tiny:random"
    assert_equal_weights(a.network, b.network)
    assert not torch.equal(a.network.cam_dec.fc_t.weight, c.network.cam_dec.fc_t.weight)
    assert all("RANDOM" in line for line in said)
    assert "random:SEED" in refused("random:x", options)
    assert find.ARCHITECTURES["da3-small"] is DA3_SMALL
