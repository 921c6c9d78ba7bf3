"""Files of weights made byte by byte: which is taken, what is said of others, and what a header may be."""

import hashlib
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vgslam.errors import WeightsError
from vgslam.network.weight_files import MAX_HEADER_BYTES, find_files, read_header, read_tensors, sha256_of

HEADER = {"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def safetensors(header: object = HEADER, n_data: int = 24) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + bytes(n_data)


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("n_lacking", [1, 8, 24])
def test_the_last_byte_of_the_last_tensor_has_to_be_there(tmp_path: Path, n_lacking: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors())
    assert read_header(path).metadata == {"a": "b"}
    assert read_header(path).n_parameters == 6
    path.write_bytes(safetensors()[:-n_lacking])
    assert "is incomplete" in refused(path)


def test_a_header_is_read_up_to_ten_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    fits = json.dumps(HEADER).encode()
    path.write_bytes(safetensors(fits + b" " * (MAX_HEADER_BYTES - len(fits))))
    assert read_header(path).n_parameters == 6
    path.write_bytes(safetensors(fits + b" " * (MAX_HEADER_BYTES - len(fits) + 1)))
    assert "is not that of weights" in refused(path)
    path.write_bytes(safetensors()[:60])
    assert "is incomplete" in refused(path)


def test_metadata_are_text(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({**HEADER, "__metadata__": {"a": 1}}))
    assert "its metadata are no text" in refused(path)
    path.write_bytes(safetensors({"w": {"dtype": "F32", "shape": [6]}}))
    assert "its header cannot be read" in refused(path)


@pytest.mark.parametrize(
    "change",
    [{"data_offsets": ["0", "24"]}, {"data_offsets": [0, 24.0]}, {"data_offsets": [0, -1]}, {"data_offsets": [0]},
     {"data_offsets": 24}, {"shape": [2.5]}, {"shape": ["x"]}, {"shape": [-2, -3]}, {"shape": None}, {"shape": [True]}],
)  # fmt: skip
def test_sizes_and_places_are_whole_numbers(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"w": {**HEADER["w"], **change}}))
    assert "its header cannot be read" in refused(path)


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x93NUMPY" if name.endswith(".npy") else bytes(99))
    return path


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model.safetensors", "README.md"], "is a zip archive (it holds model.safetensors, README.md): unpack it"),
        (["a", "b", "c", "d"], "is a zip archive (it holds a, b, c, ...): unpack it"),
        ([], "is a zip archive (it holds nothing): unpack it"),
        (["a.npy", "b.npy"], "holds arrays of NumPy and not weights"),
        (["a.npy", "b"], "is a zip archive"),
        (["archive/data.pkl", "archive/data/0"], "is damaged: download it again"),
    ],
)
def test_a_zip_is_called_what_it_is(names: list[str], said: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", *names)
    with pytest.raises(WeightsError, match=r"x\.zip") as caught:
        read_tensors((path,))
    assert said in str(caught.value)
    path.write_bytes(path.read_bytes()[:-10] if names else b"PK\x03\x04")
    with pytest.raises(WeightsError, match=r"is incomplete .*: download it again"):
        read_tensors((path,))
    path.rename(tmp_path / "x.safetensors")
    if names:
        assert "but a zip archive" in refused(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\x1f\x8b\x08", "gzip"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz"),
     (b"\x28\xb5\x2f\xfd", "zstd"), (b"Rar!\x1a\x07\x01", "rar")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x.pt", "x.safetensors", "x.safetensors.gz"])
def test_a_compressed_file_is_called_what_it_is(start: bytes, kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start + bytes(60))
    with pytest.raises(WeightsError, match=rf"is a compressed file \({kind}\): unpack it"):
        read_tensors((tmp_path / name,))


def test_a_length_that_begins_like_a_page_is_no_page(tmp_path: Path) -> None:
    """A header of 60 bytes: its length begins with the byte of "<"."""
    path = tmp_path / "w.safetensors"
    text = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    data = safetensors(text + b" " * (60 - len(text)), 1)
    assert data.startswith(b"<")
    path.write_bytes(data)
    assert read_header(path).n_parameters == 1
    path.write_bytes(b"<html>" + bytes(60))
    assert "is a web page" in refused(path)


def weights(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(safetensors())


def test_in_a_folder_safetensors_go_before_pt_and_one_called_model_before_others(tmp_path: Path) -> None:
    weights(tmp_path / "a", "x.safetensors", "y.pt")
    assert [f.name for f in find_files(tmp_path / "a").files] == ["x.safetensors"]
    weights(tmp_path / "b", "a.safetensors", "model.safetensors")
    assert [f.name for f in find_files(tmp_path / "b").files] == ["model.safetensors"]
    weights(tmp_path / "c", "a.safetensors", "b.safetensors")
    with pytest.raises(WeightsError, match=r"holds 2 \.safetensors files: pass the one that is meant"):
        find_files(tmp_path / "c")
    weights(tmp_path / "d", "a.pt")
    assert [f.name for f in find_files(tmp_path / "d").files] == ["a.pt"]


def test_an_index_names_all_files_which_may_be_links_but_not_lead_out(tmp_path: Path) -> None:
    weights(tmp_path / "real", "1.safetensors")
    folder = tmp_path / "a"
    weights(folder, "2.safetensors", "other.safetensors")
    (folder / "1.safetensors").symlink_to(tmp_path / "real" / "1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "2.safetensors", "y": "1.safetensors", "z": "1.safetensors"}}))
    assert [f.name for f in find_files(folder).files] == ["1.safetensors", "2.safetensors"]
    index.write_text(json.dumps({"weight_map": {"x": "2.safetensors", "y": "3.safetensors", "z": "4.safetensors"}}))
    with pytest.raises(WeightsError, match=r"2 of 3 parts are missing, first 3\.safetensors"):
        find_files(folder)
    index.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(WeightsError, match="names no weight files"):
        find_files(folder)
    index.write_text(json.dumps({"weight_map": {"x": "../real/1.safetensors"}}))
    with pytest.raises(WeightsError):
        find_files(folder)


def test_several_files_have_the_digest_of_their_digests(tmp_path: Path) -> None:
    for name, data in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(data)
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"1", b"2"))
    assert sha256_of((tmp_path / "a",)) == one
    assert sha256_of((tmp_path / "a", tmp_path / "b")) == hashlib.sha256((one + two).encode()).hexdigest()


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_pickle_holds_names_and_dense_tensors(tmp_path: Path, wrapper: str | None) -> None:
    path = tmp_path / "w.pt"
    tensor = torch.arange(6.0).reshape(2, 3)

    def saved(content: dict) -> None:
        torch.save(content if wrapper is None else {wrapper: content, "epoch": 3}, path)

    saved({"w": tensor})
    tensors, _ = read_tensors((path,))
    assert torch.equal(tensors["w"], tensor)
    for wrong in ({"w": tensor.to_sparse()}, {"w": 3}, {3: tensor}):
        saved(wrong)
        with pytest.raises(WeightsError, match="holds no state dict"):
            read_tensors((path,))
    torch.save([tensor], path)
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_tensors((path,))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(float("nan"), torch.float32), (float("inf"), torch.float16), (-float("inf"), torch.bfloat16),
     (1e300, torch.float64)],
)  # fmt: skip
def test_one_number_that_is_none_spoils_all(tmp_path: Path, suffix: str, number: float, kind: torch.dtype) -> None:
    tensor = torch.zeros(3, 4, dtype=kind)
    path = tmp_path / f"w{suffix}"

    def save() -> None:
        tensors = {"a": torch.ones(2), "b": tensor}
        torch.save(tensors, path) if suffix == ".pt" else save_file(tensors, path)

    save()
    assert torch.equal(read_tensors((path,))[0]["b"], tensor)
    tensor[2, 3] = number
    save()
    with pytest.raises(WeightsError, match="b holds numbers that are not finite") as caught:
        read_tensors((path,))
    assert "\n" not in str(caught.value)


def test_complex_numbers_are_no_weights(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, dtype=torch.complex64)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="a holds complex numbers"):
        read_tensors((tmp_path / "w.pt",))
