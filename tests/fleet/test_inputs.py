"""Recordings found from files, folders, wildcards, addresses and lists; and their identity."""

import os
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest

from vgslam.errors import InputError, MissingDependencyError
from vgslam.fleet import storage
from vgslam.fleet.identity import Digests, key_of
from vgslam.fleet.items import find_items, read_manifest

KNOWN = ("calib", "max_frames", "scale_from")


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    return folder


def video(file: Path, content: bytes = b"x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two videos, a folder of images below another folder, and what is no recording."""
    images(tmp_path / "many" / "deep" / "walk")
    video(tmp_path / "many" / "b.mp4")
    video(tmp_path / "many" / "a.MOV")
    (tmp_path / "many" / "README.md").write_text("x")
    video(tmp_path / "many" / ".hidden.mp4")
    return tmp_path / "many"


def names(*inputs: object) -> list[str]:
    return [i.name for i in find_items([str(x) for x in inputs], KNOWN)]


def test_a_folder_of_recordings_and_one_that_is_a_recording(many: Path) -> None:
    assert names(many) == ["a", "b", "walk"]
    assert names(many / "deep" / "walk") == ["walk"]
    assert names(many / "*.mp4") == ["b"]
    assert names(many / "**" / "walk") == ["walk"]


def test_what_is_not_there_is_named_and_the_rest_stays(many: Path) -> None:
    found = find_items([str(many / "c.mp4"), str(many / "b.mp4"), str(many / "*.bag")], KNOWN)
    assert [bool(i.trouble) for i in found] == [True, False, True]
    assert "c.mp4: no such file" in found[0].trouble
    assert "*.bag: matches nothing" in found[2].trouble


def test_names_are_plain_and_apart_whatever_the_case(tmp_path: Path) -> None:
    a, b = video(tmp_path / "1" / "Walk.mp4"), video(tmp_path / "2" / "walk.mp4")
    odd = video(tmp_path / "3" / "<b>../ x.mp4".replace("/", "∕"))
    found = names(a, b, odd)
    assert found[:2] == ["Walk", "walk~2"]
    assert names(b, a)[:2] == ["walk", "Walk~2"]
    assert not set("<>/ ") & set(found[2])
    assert not found[2].startswith(".")


def test_a_list_gives_options_paths_are_relative_to_it(many: Path) -> None:
    file = many / "list.csv"
    head = "\ufeffpath, name ,calibration,--max-frames\n"
    file.write_text(head + "b.mp4,my walk,c.yaml,60\n\nmissing.mp4,,,\ndeep/walk,,,\n")
    first, second, third = find_items([str(file)], KNOWN)
    assert (first.name, first.where) == ("my_walk", str(many / "b.mp4"))
    assert first.options == {"calib": "c.yaml", "max_frames": "60"}
    assert first.base == many
    assert "list.csv, line 4" in second.trouble
    assert "missing.mp4" in second.trouble
    assert (third.name, third.options) == ("walk", {})


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,max_frames,scale\na.mp4,60,aruco:X:0.1\nb.mp4,,\n")
    (tmp_path / "l.jsonl").write_text('{"path":"a.mp4","max_frames":60,"scale":"aruco:X:0.1"}\n{"path":"b.mp4"}\n')
    a, b = read_manifest(tmp_path / "l.csv", KNOWN), read_manifest(tmp_path / "l.jsonl", KNOWN)
    assert [(r.path, r.options) for r in a] == [(r.path, r.options) for r in b]
    assert a[0].options == {"max_frames": "60", "scale_from": "aruco:X:0.1"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("l.csv", "path,out\na.mp4,/etc\n", "line 2: 'out' is no option"),
        ("l.csv", "a.mp4\nb.mp4\n", "name the columns"),
        ("l.csv", "path,max_frames\na.mp4\n", "line 2: 1 cells under 2"),
        ("l.csv", "path,calib,calibration\n", "twice"),
        ("l.csv", "path\n", "lists no recordings"),
        ("l.csv", 'path\n"a\n', "is not CSV"),
        ("l.csv", "path,calib\n,c.yaml\n", "line 2: has no path"),
        ("l.jsonl", '{"path": "a"}\n{"path": \n', "line 2: is not JSON"),
        ("l.jsonl", '["a"]\n', "line 1: expected an object"),
        ("l.jsonl", '{"path": "a", "calib": ["b"]}\n', "'calib' is no text"),
        ("l.jsonl", '{"paht": "a"}\n', "has no path"),
    ],
)
def test_what_is_not_understood_in_a_list_is_said(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        read_manifest(tmp_path / name, KNOWN)


def test_identity_is_content_not_name_or_time(tmp_path: Path) -> None:
    a, b = images(tmp_path / "a"), images(tmp_path / "b")
    digests = Digests()
    assert digests.of(a) == digests.of(b)
    os.utime(a / "0.png", (1, 1))
    (a / ".note").write_text("hidden")
    assert Digests().of(a) == digests.of(b)
    (a / "0.png").rename(a / "9.png")
    assert Digests().of(a) != digests.of(b)
    with pytest.raises(InputError, match="no such file"):
        digests.of(tmp_path / "c")


def test_digests_are_remembered_while_size_and_time_stay(tmp_path: Path) -> None:
    file, kept = video(tmp_path / "a.mp4", b"one"), tmp_path / "kept.json"
    os.utime(file, (1000, 1000))
    first = Digests(kept, now=lambda: 2000.0)
    before = first.of(file)
    first.save()
    file.write_bytes(b"two")
    os.utime(file, (1000, 1000))
    assert Digests(kept).of(file) == before, "not read again"
    os.utime(file, (1001, 1000))
    assert Digests(kept).of(file) == before, "access does not matter"
    os.utime(file, (1001, 1001))
    assert Digests(kept).of(file) != before
    fresh = Digests(tmp_path / "other.json", now=lambda: 1002.0)
    fresh.of(file)
    fresh.save()
    assert not (tmp_path / "other.json").exists(), "a file of a moment ago may change again"
    kept.write_text("[not json")
    assert Digests(kept).of(file)


def test_keys_depend_on_every_part_and_no_order() -> None:
    assert key_of({"a": "1", "b": None}) == key_of({"b": None, "a": "1"})
    assert len({key_of({"a": "1", "b": None}), key_of({"a": "1", "b": 1}), key_of({"a": "1"})}) == 3


@pytest.fixture
def bucket() -> fsspec.AbstractFileSystem:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe("/walks/a.mp4", b"first")
    memory.pipe("/walks/b.mp4", b"second")
    memory.pipe("/images/0.png", b"0")
    memory.pipe("/images/sub/1.png", b"1")
    return memory


def test_addresses_are_found_and_fetched_once(bucket, tmp_path: Path) -> None:
    assert names("memory://walks/*.mp4") == ["a", "b"]
    assert names("memory://walks") == ["a", "b"]
    assert names("memory://images") == ["images"]
    fetched = storage.fetch("memory://walks/a.mp4", tmp_path)
    assert (fetched.name, fetched.read_bytes()) == ("a.mp4", b"first")
    fetched.write_bytes(b"as it is here")
    assert storage.fetch("memory://walks/a.mp4", tmp_path).read_bytes() == b"as it is here"
    before = storage.identity("memory://walks/a.mp4")
    bucket.pipe("/walks/a.mp4", b"other")
    assert storage.identity("memory://walks/a.mp4") != before
    assert storage.fetch("memory://walks/a.mp4", tmp_path).read_bytes() == b"other"
    folder = storage.fetch("memory://images", tmp_path)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == ["0.png", "sub/1.png"]
    assert not list(tmp_path.glob(".fetching*"))


def test_a_file_address_is_a_path(many: Path) -> None:
    [item] = find_items([f"file://{many}/b.mp4"], KNOWN)
    assert item.where == str(many / "b.mp4")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rtsp://user:secret@cam/s", "live stream"),
        ("github://me:repo@main/a.mp4", "not read"),
        ("simplecache::memory://walks/a.mp4", "not read"),
        ("memory://walks/c.mp4", "no such recording"),
        ("http://user:secret@127.0.0.1:9/a.mp4?token=secret", "cannot be read|no such"),
    ],
)
def test_addresses_that_cannot_be_read_say_so_without_secrets(bucket, url: str, says: str) -> None:
    with pytest.raises((InputError, MissingDependencyError)) as raised:
        storage.identity(url)
    if not isinstance(raised.value, MissingDependencyError):
        raised.match(says)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_storage_that_fails_once_is_asked_again() -> None:
    calls = []

    def read() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise storage.StorageError("s3://b: cannot be read")
        return "read"

    assert storage.retried(read, 1) == "read"
    calls.clear()
    with pytest.raises(storage.StorageError):
        storage.retried(read, 0)


def test_what_is_too_large_is_not_begun(bucket, tmp_path: Path) -> None:
    assert storage.fetch("memory://walks/a.mp4", tmp_path / "a", 5).read_bytes() == b"first"
    with pytest.raises(InputError, match="has 5 bytes or more; at most 4"):
        storage.fetch("memory://walks/a.mp4", tmp_path / "b", 4)
    assert list((tmp_path / "b").iterdir()) == []


def test_nothing_fetched_lies_outside_its_folder(bucket, tmp_path: Path) -> None:
    bucket.store["/images/../../evil.png"] = bucket.store["/images/0.png"]
    with pytest.raises(InputError, match="outside"):
        storage.fetch("memory://images", tmp_path / "cache")
    assert not (tmp_path / "evil.png").exists()
