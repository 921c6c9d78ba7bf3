"""Limits of what is read from outside, each from both sides, with the number that is told."""

import io
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.guards import arrays, documents, images
from vgslam.guards.documents import DocumentError, parse_json, parse_xml, parse_yaml, read_text
from vgslam.guards.paths import OutsideError, inside, is_folder, is_link, is_plain_file, open_plain

MIB = 1024 * 1024


def hole(path: Path, n_bytes: int, start: bytes = b"") -> Path:
    """A file of so many bytes, that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(n_bytes)
    return path


def npy(array: np.ndarray, **how: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


class TestArrays:
    def test_length_of_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(arrays.ArraysError, match=r"^is larger than 64 MiB$"):
            arrays.read_arrays(hole(tmp_path / "a.npy", 64 * MIB + 1))
        with pytest.raises(arrays.ArraysError, match="plain numbers"):  # that is read, and is no array
            arrays.read_arrays(hole(tmp_path / "a.npy", 64 * MIB))

    def test_whole_arrays_and_ones_that_are_short_of_a_byte(self, tmp_path: Path) -> None:
        for array in (np.arange(6.0).reshape(2, 3), np.zeros(0), np.zeros((0, 4)), np.float32(3.0), np.arange(40) > 3):
            data = npy(np.asarray(array))
            assert arrays.read_array(data).tolist() == np.asarray(array).tolist()
            (tmp_path / "a.npy").write_bytes(data)
            assert np.asarray(arrays.read_arrays(tmp_path / "a.npy")).shape == np.shape(array)
        with pytest.raises(arrays.ArraysError):
            arrays.read_array(npy(np.arange(6.0))[:-1])

    def test_a_long_header(self) -> None:
        """Version 2 of the format, whose header has its length in four bytes."""
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.arange(3), version=(2, 0))
        assert arrays.read_array(stream.getvalue()).tolist() == [0, 1, 2]

    def test_objects_are_never_loaded(self, tmp_path: Path) -> None:
        """An empty array of them too, and ones in a file that is long enough for a pickle."""
        for array in (np.array([{"a": 1}] * 30, object), np.zeros(0, object)):
            for data in (npy(array, allow_pickle=True), npy(array, allow_pickle=True) + bytes(1000)):
                with pytest.raises(arrays.ArraysError, match="plain numbers that is whole"):
                    arrays.read_array(data)

    def test_a_thousand_arrays(self, tmp_path: Path) -> None:
        path, data = tmp_path / "a.npz", npy(np.arange(2))
        for n in (1000, 1001):
            with zipfile.ZipFile(path, "w") as archive:
                for i in range(n):
                    archive.writestr(f"{i}.npy", data)
            if n == 1000:
                found = arrays.read_arrays(path)
                assert isinstance(found, dict)
                assert (len(found), found["999"].tolist()) == (1000, [0, 1])
            else:
                with pytest.raises(arrays.ArraysError, match=r"^holds more than 1000 arrays$"):
                    arrays.read_arrays(path)

    def test_what_they_unpack_to_together(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two members of 2,000,128 bytes each, and one that is no array, which counts as well."""
        path, n = tmp_path / "a.npz", 2_000_128
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", npy(np.zeros(250_000)))
            archive.writestr("b.txt", bytes(n))
        for limit, is_read in ((2 * n, True), (2 * n - 1, False)):
            monkeypatch.setattr(arrays, "MOST_BYTES", limit)
            if is_read:
                assert list(arrays.read_arrays(path)) == ["a"]
            else:
                with pytest.raises(arrays.ArraysError, match=r"^unpacks to more than 3\.8\d* MiB$"):
                    arrays.read_arrays(path)

    @pytest.mark.parametrize("data", [b"PK", b"PK\x03\x04" + bytes(50), b"", b"\x93NUMPY\x09\x00"])
    def test_what_is_damaged(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(arrays.ArraysError):
            arrays.read_arrays(tmp_path / "a.npz")

    def test_a_member_that_is_damaged(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "a.npz", a=np.random.default_rng(0).random(1000))
        data = bytearray((tmp_path / "a.npz").read_bytes())
        data[200:260] = bytes(60)
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(arrays.ArraysError, match=r"^is no readable file of arrays$"):
            arrays.read_arrays(tmp_path / "a.npz")


class TestDocuments:
    def test_lengths(self, tmp_path: Path) -> None:
        for most, told, length in ((None, "32", 32 * MIB), (documents.MOST_ROWS_BYTES, "128", 128 * MIB)):
            path = hole(tmp_path / "a", length + 1)
            with pytest.raises(DocumentError, match=rf"^is larger than {told} MiB$"):
                read_text(path, most) if most else read_text(path)
        assert len(read_text(hole(tmp_path / "a", 32 * MIB))) == 32 * MIB

    def test_yaml_of_a_mebibyte(self, tmp_path: Path) -> None:
        fits = "a: 1\n" + "#" * (MIB - 5)
        assert parse_yaml(fits) == {"a": 1}
        with pytest.raises(DocumentError, match=r"^is longer than 1 MiB, too much for YAML$"):
            parse_yaml(fits + "#")
        (tmp_path / "a").write_text(fits + "#")
        with pytest.raises(DocumentError, match=r"^is larger than 1 MiB$"):
            documents.read_yaml(tmp_path / "a")

    def test_levels(self) -> None:
        for n, is_read in ((63, True), (64, False)):  # with the numbers within: 64 levels, and 65
            text = "[" * n + "1" + "]" * n
            if is_read:
                assert parse_yaml(text) is not None
            else:
                with pytest.raises(DocumentError, match=r"^is nested more than 64 levels deep$"):
                    parse_yaml(text)
        for n, is_read in ((64, True), (65, False)):
            if is_read:
                assert parse_json('{"a":' * n + "1" + "}" * n) is not None
            else:
                with pytest.raises(DocumentError, match=r"^is nested more than 64 levels deep$"):
                    parse_json("[" * n + "1" + "]" * n)

    def test_values_of_yaml(self) -> None:
        assert len(parse_yaml("[" + "1," * 49_999 + "]")) == 49_999  # and the list itself
        with pytest.raises(DocumentError, match=r"^holds more than 50000 values, too many for YAML$"):
            parse_yaml("[" + "1," * 50_000 + "]")

    def test_a_reference_to_one_value_is_one(self) -> None:
        """A list, 10 numbers, 2,499 lists of references to 10, each with its own reference: 50,000 or one more."""
        head = "- &a [1,2,3,4,5,6,7,8,9]\n"  # 10 values
        assert len(parse_yaml(head + "- *a\n" * 4_544)) == 4_545  # 1 + 10 + 4544 * 11 = 49,995
        with pytest.raises(DocumentError, match="more than 50000 values"):
            parse_yaml(head + "- *a\n" * 4_545)

    def test_digits(self) -> None:
        assert parse_yaml("1" * 300) == int("1" * 300)
        with pytest.raises(DocumentError, match=r"^holds a number of more than 300 digits$"):
            parse_yaml("1" * 301)
        assert parse_json("9" * 300) == int("9" * 300)
        assert isinstance(parse_json("9" * 301), float)

    def test_the_first_document_that_holds_anything(self) -> None:
        assert parse_yaml("---\n---\na: 1\n---\nb: 2") == {"a": 1}
        assert parse_yaml("") is None
        assert parse_yaml("---\nnull\n...\n") is None

    def test_encodings(self, tmp_path: Path) -> None:
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (tmp_path / "a").write_text("é: 1", encoding=encoding)
            assert read_text(tmp_path / "a") == "é: 1"
        (tmp_path / "a").write_bytes(b"\xfe\xff\x00a\x00b")
        assert read_text(tmp_path / "a") == "ab"
        (tmp_path / "a").write_bytes(b"caf\xe9")
        with pytest.raises(DocumentError, match=r"^is not a text file \(UTF-8\)$"):
            read_text(tmp_path / "a")

    def test_what_is_wrong_is_told_in_120_characters(self) -> None:
        for parse in (parse_json, parse_yaml):
            with pytest.raises(DocumentError) as caught:
                parse("{" + "\n" * 3 + '"a": [1, 2' + "\n " * 300 + "}{")
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) <= len("is not JSON ()") + 120

    def test_reasons(self) -> None:
        assert documents.why_unreadable(OSError(13, "Permission denied")) == "Permission denied"
        assert documents.why_unreadable(DocumentError("is not JSON (x)")) == "not JSON (x)"

    @pytest.mark.parametrize(("n", "is_read"), [(63, True), (64, False)])
    def test_levels_of_xml(self, n: int, is_read: bool) -> None:
        text = "<a>" * (n + 1) + "1" + "</a>" * (n + 1)
        if is_read:
            assert parse_xml(text) is not None
        else:
            with pytest.raises(DocumentError, match="nested more than 64 levels deep, or holds too many values"):
                parse_xml(text)

    def test_values_of_xml(self) -> None:
        assert len(parse_xml("<a>" + "<_>1</_>" * 49_999 + "</a>")) == 49_999
        with pytest.raises(DocumentError, match="too many values"):
            parse_xml("<a>" + "<_>1</_>" * 50_000 + "</a>")

    @pytest.mark.parametrize("text", ["<!DOCTYPE a><a/>", "<a><!ENTITY b 'c'></a>"])
    def test_no_document_types(self, text: str) -> None:
        with pytest.raises(DocumentError, match=r"^is XML with a document type, which no calibration has$"):
            parse_xml(text)

    def test_lists_and_mappings_of_xml(self) -> None:
        assert parse_xml("<a><_>1</_><b>2</b></a>") == {"_": 1.0, "b": 2.0}
        assert parse_xml("<a><b><_>x</_></b><c>1 2\n3</c><d> </d></a>") == {"b": ["x"], "c": [1.0, 2.0, 3.0], "d": None}


class TestImages:
    def test_pixels(self) -> None:
        assert images.too_large(100_000_000, 1) is None
        assert images.too_large(3, 33_333_334) == (
            "an image of 3x33333334 is too large: 100 million pixels are the limit"
        )
        assert images.VIDEO_LIMIT == {"max_pixels": "100000000"}

    def test_the_decoder_of_a_stream_gets_the_limit_and_keeps_its_options(self) -> None:
        class Context:
            options = {"threads": "2"}  # noqa: RUF012

        class Stream:
            codec_context = Context()

        images.limit_decoder(Stream)
        assert Stream.codec_context.options == {"threads": "2", "max_pixels": "100000000"}

    def test_files(self, tmp_path: Path) -> None:
        with pytest.raises(images.UndecodableError, match=r"^a file of 601 MB is too large for an image$"):
            images.read_bytes(hole(tmp_path / "a", 601_000_000))
        assert images.read_bytes(hole(tmp_path / "a", 100), 100) == bytes(100)
        with pytest.raises(images.UndecodableError, match="too large"):
            images.read_bytes(hole(tmp_path / "a", 101), 100)
        with pytest.raises(images.UndecodableError, match=r"^not a file$"):
            images.read_bytes(tmp_path)

    def test_what_is_said_of_each(self, tmp_path: Path) -> None:
        good = cv2.imencode(".png", np.zeros((4, 5, 3), np.uint8))[1].tobytes()
        assert images.decode(good, cv2.IMREAD_COLOR).shape == (4, 5, 3)
        for data, said in ((b"", "the file is empty"), (b"hello", "not a readable image"),
                           (good[:40], "not a readable image")):  # fmt: skip
            with pytest.raises(images.UndecodableError, match=rf"^{said}$"):
                images.decode(data, cv2.IMREAD_COLOR)
        noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
        cut = cv2.imencode(".jpg", noise)[1].tobytes()[:-20_000] + b"\xff\xd9"
        with pytest.raises(images.UndecodableError, match=r"^the JPEG data is cut off$"):
            images.decode(cut, cv2.IMREAD_COLOR)
        with pytest.raises(images.UndecodableError, match=r"^the file cannot be read \(No such file or directory\)$"):
            images.read(tmp_path / "missing.png", cv2.IMREAD_COLOR)
        with pytest.raises(images.UndecodableError, match=r"^not a file$"):
            images.read(tmp_path, cv2.IMREAD_COLOR)
        (tmp_path / "a.png").write_bytes(good)
        assert images.read(tmp_path / "a.png", cv2.IMREAD_GRAYSCALE).shape == (4, 5)


class TestPaths:
    def test_names(self, tmp_path: Path) -> None:
        assert inside(tmp_path, "a") == tmp_path / "a"
        assert inside(tmp_path, "a b") == tmp_path / "a b", "a space is no control character"
        for name, said in (("", "names no file where it should"), (7, "names no file where it should"),
                           ("a\x1fb", "names a file outside its folder"), ("/a", "outside"), ("a/../b", "outside"),
                           ("a\\b", "outside")):  # fmt: skip
            with pytest.raises(OutsideError, match=said):
                inside(tmp_path, name)
        with pytest.raises(OutsideError) as caught:
            inside(tmp_path, "/" + "x" * 500)
        assert str(caught.value) == f"names a file outside its folder ({'/' + 'x' * 79!r})"

    def test_the_link_is_told_in_80_characters(self, tmp_path: Path) -> None:
        (tmp_path / "l").symlink_to("/")
        with pytest.raises(OutsideError) as caught:
            inside(tmp_path, "l/" + "x" * 200)
        assert str(caught.value) == f"names a file behind a symbolic link ({'l/' + 'x' * 78!r})"

    def test_what_a_path_is(self, tmp_path: Path) -> None:
        file, folder, link, broken, pipe = (tmp_path / n for n in ("file", "folder", "link", "broken", "pipe"))
        file.write_bytes(b"abc")
        folder.mkdir()
        link.symlink_to(file)
        broken.symlink_to(tmp_path / "nothing")
        os.mkfifo(pipe)
        every = [file, folder, link, broken, pipe, tmp_path / "nothing", tmp_path / "a\0b", tmp_path / ("x" * 5000)]
        assert [is_link(p) for p in every] == [False, False, True, True, False, False, False, False]
        assert [is_plain_file(p) for p in every] == [True, False, True, False, False, False, False, False]
        assert [is_folder(p) for p in every] == [False, True, False, False, False, False, False, False]
        with open_plain(file) as opened:
            assert opened.read() == b"abc"
        with pytest.raises(OSError, match="is not a file"):
            open_plain(pipe)  # and does not wait for somebody to write
        with pytest.raises(OSError, match="is not a file"):
            open_plain(folder)
        with pytest.raises(FileNotFoundError):
            open_plain(tmp_path / "nothing")
