"""Weights: what loads, what is refused and with which line, what is recorded."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vgslam.errors import OutputError, WeightsError
from vgslam.network import licence, weights, weights_info
from vgslam.network.config import VGGT_TINY
from vgslam.network.vggt import Head, Vggt
from vgslam.network.weights import LoadOptions, load, save


@pytest.fixture
def saved(fresh_model: Vggt, tmp_path: Path) -> Path:
    """The golden model in float32 as one safetensors file that names its configuration."""
    path = tmp_path / "weights" / "model.safetensors"
    save(fresh_model.float(), path, licence="Apache-2.0")
    return path


@pytest.fixture
def options(tmp_path: Path) -> LoadOptions:
    return LoadOptions(ledger=tmp_path / "licences.json")


def refused(source: object, options: LoadOptions) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(WeightsError) as caught:
        load(str(source), options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_equal_weights(a: Vggt, b: Vggt) -> None:
    left, right = a.state_dict(), b.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[k], right[k]) for k in left)


def test_file_and_folder_round_trip(saved: Path, fresh_model: Vggt, options: LoadOptions) -> None:
    for source in (saved, saved.parent):
        loaded = load(str(source), options)
        assert loaded.model.config == fresh_model.config
        assert not loaded.model.training
        assert_equal_weights(loaded.model, fresh_model.float())
        assert loaded.info.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
        assert loaded.info.model_id == f"vggt:{source.name}@{loaded.info.sha256[:12]}"
        assert not loaded.info.is_random
        assert loaded.info.licence.name == "Apache-2.0"


def test_pt_files_plain_and_wrapped(fresh_model: Vggt, tmp_path: Path, options: LoadOptions) -> None:
    state, options = fresh_model.float().state_dict(), replace(options, config=fresh_model.config)
    for name, content in (("a.pt", state), ("b.pt", {"model": state}), ("c.pth", {"state_dict": state})):
        torch.save(content, tmp_path / name)
        assert_equal_weights(load(str(tmp_path / name), options).model, fresh_model)


def test_shards(fresh_model: Vggt, tmp_path: Path, options: LoadOptions) -> None:
    state = fresh_model.float().state_dict()
    keys = list(state)
    parts = {"model-1.safetensors": keys[:200], "model-2.safetensors": keys[200:]}
    for name, own in parts.items():
        save_file({k: state[k] for k in own}, tmp_path / name)
    index = {"weight_map": {k: name for name, own in parts.items() for k in own}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    options = replace(options, config=fresh_model.config)
    assert_equal_weights(load(str(tmp_path), options).model, fresh_model)
    (tmp_path / "model-2.safetensors").unlink()
    assert "1 of 2 parts are missing, first model-2.safetensors" in refused(tmp_path, options)


def test_config_beside_the_file(fresh_model: Vggt, tmp_path: Path, options: LoadOptions) -> None:
    save_file(fresh_model.float().state_dict(), tmp_path / "model.safetensors")
    assert "do not fit the network" in refused(tmp_path, options)  # read as VGGT-1B
    (tmp_path / "config.json").write_text(json.dumps({"vgslam.config": fresh_model.config.to_dict()}))
    assert load(str(tmp_path), options).model.config == fresh_model.config
    (tmp_path / "config.json").write_text(json.dumps({"vgslam.config": {"widht": 3}}))
    assert "unknown field widht" in refused(tmp_path, options)


def test_half_precision_file_is_smaller_and_loads(fresh_model: Vggt, tmp_path: Path, options: LoadOptions) -> None:
    for name, dtype in (("whole", None), ("half", torch.float16)):
        save(fresh_model.float(), tmp_path / name / "model.safetensors", "Apache-2.0", dtype)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.65 * sizes[0]
    loaded = load(str(tmp_path / "half"), options).model
    assert loaded.aggregator.camera_token.dtype == torch.float32
    torch.testing.assert_close(
        loaded.aggregator.camera_token, fresh_model.aggregator.camera_token, rtol=1e-3, atol=1e-3
    )


def test_only_wanted_heads_take_memory(saved: Path, options: LoadOptions) -> None:
    loaded = load(str(saved), replace(options, heads=frozenset({Head.POSE, Head.DEPTH})))
    assert loaded.model.heads == {Head.POSE, Head.DEPTH}
    assert loaded.info.n_parameters < load(str(saved), options).info.n_parameters


def test_missing_and_unexpected_keys_are_named(fresh_model: Vggt, tmp_path: Path, options: LoadOptions) -> None:
    state = dict(fresh_model.float().state_dict())
    del state["aggregator.camera_token"]
    state["foreign.weight"] = torch.zeros(2)
    state["camera_head.embed_pose.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "model.pt")
    line = refused(tmp_path, replace(options, config=fresh_model.config))
    assert "1 missing (aggregator.camera_token)" in line
    assert "1 unexpected (foreign.weight)" in line
    assert "1 of another shape (camera_head.embed_pose.bias (5,) instead of (64,))" in line


def test_partial_weights_never_load(saved: Path, fresh_model: Vggt, options: LoadOptions) -> None:
    """Asking for few heads is no licence for a file that lacks the others."""
    config = replace(fresh_model.config, track=None)
    state = {k: v for k, v in fresh_model.float().state_dict().items() if not k.startswith("track_head")}
    save_file(state, saved)
    line = refused(saved, replace(options, config=fresh_model.config, heads=frozenset({Head.POSE})))
    assert "missing (track_head." in line
    assert load(str(saved), replace(options, config=config)).model.heads == {Head.POSE, Head.DEPTH, Head.POINTS}


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01, 0.0])
def test_half_a_download(saved: Path, options: LoadOptions, keep: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(keep * len(content))])
    assert "download it again" in refused(saved, options)


@pytest.mark.parametrize("keep", [0.999, 0.5])
def test_half_a_pt(fresh_model: Vggt, tmp_path: Path, options: LoadOptions, keep: float) -> None:
    path = tmp_path / "model.pt"
    torch.save(fresh_model.float().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert "incomplete" in refused(path, options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        ("a.safetensors", b"<!DOCTYPE html><html>Log in</html>", "web page"),
        ("a.safetensors", b"\x93NUMPY" + bytes(500), "not a safetensors file"),
        ("a.pt", b"just some text, nothing else", "not a file of weights"),
        ("a.pt", b"\x80\x02garbage that is no pickle", "no file of plain tensors"),
    ],
)
def test_wrong_files(tmp_path: Path, options: LoadOptions, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refused(tmp_path / name, options)


class _Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_pickle_with_code_is_not_run(tmp_path: Path, options: LoadOptions) -> None:
    torch.save({"x": _Harmful()}, tmp_path / "model.pt")
    assert "foreign code" in refused(tmp_path / "model.pt", options)


def test_not_a_state_dict(tmp_path: Path, options: LoadOptions) -> None:
    torch.save({"epoch": 3}, tmp_path / "model.pt")
    assert "no state dict" in refused(tmp_path, options)


def test_nothing_there(tmp_path: Path, options: LoadOptions) -> None:
    assert "no such file or folder" in refused(tmp_path / "nowhere.pt", options)
    assert "no such file or folder" in refused("weights/model.safetensors", options)
    assert "holds no .safetensors or .pt" in refused(tmp_path, options)


def test_several_files_are_ambiguous(tmp_path: Path, options: LoadOptions) -> None:
    for name in ("a.pt", "b.pt"):
        torch.save({}, tmp_path / name)
    assert "2 .pt files" in refused(tmp_path, options)


def test_hash_is_checked(saved: Path, options: LoadOptions) -> None:
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    load(str(saved), replace(options, sha256=digest.upper()))
    assert f"SHA-256 is {digest}, expected 00" in refused(saved, replace(options, sha256="00"))


def test_not_enough_memory(saved: Path, options: LoadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "available_bytes", lambda device: 10_000)
    line = refused(saved, options)
    assert "not enough memory on cpu" in line
    assert "--precision bf16" in line


def test_unwritable_place(fresh_model: Vggt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save(fresh_model, tmp_path / "file" / "model.safetensors", "Apache-2.0")


def test_random_weights_say_so(options: LoadOptions) -> None:
    said: list[str] = []
    loaded = load("random:3", options, said.append)
    assert loaded.info.is_random
    assert loaded.model.config == VGGT_TINY
    assert "RANDOM" in said[0]
    assert loaded.info.model_id == "vggt:random:3"
    assert_equal_weights(loaded.model, load("random:3", options).model)
    assert "random:SEED" in refused("random:x", options)


def test_licence_is_shown_once_per_weights(saved: Path, options: LoadOptions) -> None:
    said: list[str] = []
    for _ in range(2):
        load(str(saved), options, said.append)
    assert said == [licence.APACHE_2.terms]
    options.ledger.write_text("not json")
    load(str(saved), options, said.append)
    assert len(said) == 2


def test_licence_ledger_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    assert licence.show_once(licence.VGGT_1B, "x", tmp_path / "file" / "ledger.json", said.append)
    assert "non-commercial" in said[0]
    assert "VGGT-1B-Commercial" in said[0]


@pytest.mark.parametrize(
    ("source", "parsed"),
    [
        ("facebook/VGGT-1B", ("facebook/VGGT-1B", None)),
        ("facebook/VGGT-1B@main", ("facebook/VGGT-1B", "main")),
        ("owner/my.model@a1b2/c", ("owner/my.model", "a1b2/c")),
        ("folder/model.pt", None), ("./facebook/VGGT-1B", None), ("/abs/path", None), ("model", None), ("a/b/c", None),
    ],
)  # fmt: skip
def test_hub_ids(source: str, parsed: tuple[str, str | None] | None) -> None:
    assert weights_info.parse_hub_id(source) == parsed


def test_hub_weights_come_from_the_snapshot(saved: Path, options: LoadOptions, monkeypatch) -> None:
    import huggingface_hub

    asked = []

    def snapshot(repo, revision, cache_dir, allow_patterns):
        asked.append((repo, revision, allow_patterns))
        return str(saved.parent)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    loaded = load("facebook/VGGT-1B-Commercial@v2", options)
    assert asked[0][:2] == ("facebook/VGGT-1B-Commercial", "v2")
    assert "*.safetensors" in asked[0][2]
    assert "*.pt" not in asked[0][2]
    assert loaded.info.licence is licence.VGGT_1B_COMMERCIAL
    assert loaded.info.source == "facebook/VGGT-1B-Commercial@v2"


def test_offline_without_cache(options: LoadOptions, tmp_path: Path, monkeypatch) -> None:
    """The real client, told to stay offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = refused("facebook/VGGT-1B", replace(options, hub_cache=tmp_path / "cache"))
    assert "not in the local cache" in line


def test_offline_with_cache(saved: Path, options: LoadOptions, tmp_path: Path, monkeypatch) -> None:
    """The real client finds what an earlier download left."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "cache" / "models--owner--small"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots" / commit).mkdir(parents=True)
    saved.rename(cache / "snapshots" / commit / "model.safetensors")
    loaded = load("owner/small", replace(options, hub_cache=tmp_path / "cache"))
    assert loaded.info.licence.name == "Apache-2.0"


def test_offline_with_half_a_download(options: LoadOptions, tmp_path: Path, monkeypatch) -> None:
    """The cache holds what came before the connection broke: the configuration, and a part under another name."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "cache" / "models--owner--small"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots" / commit).mkdir(parents=True)
    (cache / "snapshots" / commit / "config.json").write_text("{}")
    (cache / "blobs").mkdir()
    (cache / "blobs" / "0123.incomplete").write_bytes(b"half")
    assert "its download was cut off" in refused("owner/small", replace(options, hub_cache=tmp_path / "cache"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "is gated: ask for access"),
        ("RepositoryNotFoundError", "was not found"),
        ("RevisionNotFoundError", "no revision 'v9'"),
        ("LocalEntryNotFoundError", "cannot be reached"),
    ],
)
def test_hub_errors_are_one_line(error: str, message: str, options: LoadOptions, monkeypatch) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    kind = getattr(errors, error)

    def fail(*args, **kwargs):
        raised = kind.__new__(kind)
        Exception.__init__(raised, "long\nstory")
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert message in refused("owner/name@v9", options)


def test_broken_download_says_how_to_resume(options: LoadOptions, monkeypatch) -> None:
    import huggingface_hub

    def fail(*args, **kwargs):
        raise OSError("No space left on device\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert refused("owner/name", options) == (
        "downloading owner/name failed (No space left on device); run the same command again to resume"
    )
