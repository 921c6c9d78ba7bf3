"""Pictures of keyframes under a memory budget: the same bits, never more memory than said."""

import copy
import gc
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import CAMERA

from vgslam.errors import MapError, OutputError
from vgslam.map.pictures import PictureFile, PictureKind, Pictures, decode, describe, encode, raw
from vgslam.map.slam_map import SlamMap
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map
from vgslam.types import Keyframe, Sim3

NONE = (np.zeros(0, np.int64), np.zeros((0, 2)))
IMAGE, DEPTH = PictureKind.IMAGE, PictureKind.DEPTH


def picture(i: int, size: int = 40) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, (size, size, 3), np.uint8)


def add(m: SlamMap, image: np.ndarray) -> None:
    k = len(m.keyframes)
    m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, Sim3.identity()), *NONE)


@pytest.mark.parametrize("array", [
    picture(1), np.random.default_rng(2).normal(size=(7, 5)).astype(np.float32), np.zeros((1, 1), np.float32),
    np.array([[np.float32(1e-42), np.inf, -0.0]], np.float32), picture(3)[::2, ::-1],
])  # fmt: skip
def test_files_hold_the_same_bits(array: np.ndarray) -> None:
    for back in (decode(*encode(array)), decode(*raw(array))):
        assert back.dtype == array.dtype
        assert back.tobytes() == np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((3, 3), np.uint8), np.zeros((2, 3, 3), np.float32)])
def test_other_arrays_are_no_pictures(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        encode(array)


@pytest.mark.parametrize("is_gray", [False, True])
def test_the_grey_image_is_that_of_the_colours_changes_included(is_gray: bool) -> None:
    pictures, image = Pictures(), picture(4)
    if is_gray:
        image[:] = image[..., :1]
    pictures.put((0, IMAGE), image)
    np.testing.assert_array_equal(pictures.gray((0, IMAGE)), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    pictures.change((0, IMAGE), lambda before: 255 - before)
    np.testing.assert_array_equal(pictures.gray((0, IMAGE)), cv2.cvtColor(255 - image, cv2.COLOR_RGB2GRAY))
    assert pictures.gray((0, IMAGE)).shape == (40, 40)


def test_there_is_no_grey_image_of_a_picture_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        Pictures().gray((0, IMAGE))


@given(st.lists(st.tuples(st.sampled_from("pgd"), st.integers(0, 5)), max_size=40), st.integers(0, 20000))
@settings(max_examples=60, deadline=None)
def test_whatever_is_asked_the_budget_holds_and_the_bits_too(steps: list[tuple[str, int]], budget: int) -> None:
    pictures, truth = Pictures(budget), {}
    for i, (step, k) in enumerate(steps):
        if step == "p":
            truth[k] = picture(i)
            pictures.put((k, IMAGE), truth[k].copy())
        elif step == "d":
            truth.pop(k, None)
            pictures.put((k, IMAGE), None)
        found = pictures.get((k, IMAGE))
        assert (found is None) == (k not in truth)
        assert ((k, IMAGE) in pictures) == (k in truth)
        if found is not None:
            np.testing.assert_array_equal(found, truth[k])
        assert pictures.resident_bytes <= budget


def test_the_memory_of_a_map_stays_within_the_budget_whatever_its_length(tmp_path: Path) -> None:
    """Peak over 120 keyframes of 230 kB against a budget of 4 MB; without it they are 28 MB."""
    budget, shown = 4_000_000, 480 * 160 * 3
    m = SlamMap(Pictures(budget, spill_into=tmp_path))
    gc.collect()
    tracemalloc.start()
    rng = np.random.default_rng(0)
    for k in range(120):
        add(m, rng.integers(0, 256, (160, 480, 3), np.uint8))
        m.keyframes[k].depth = np.full((20, 20), k, np.float32)
        assert m.keyframes[k // 2].image.shape == (160, 480, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert m.pictures.resident_bytes <= budget
    assert peak < budget + 8 * shown
    for k in (0, 60, 119):
        depth = m.keyframes[k].depth
        assert depth is not None
        assert (depth == k).all()


def test_a_part_of_a_large_array_does_not_keep_the_whole() -> None:
    stack = np.zeros((50, 100, 100), np.float32)
    pictures = Pictures()
    pictures.put((0, DEPTH), stack[3])
    found = pictures.get((0, DEPTH))
    assert found is not None
    assert not np.shares_memory(found, stack)
    whole = picture(1)
    pictures.put((0, IMAGE), whole)
    assert pictures.get((0, IMAGE)) is whole


def test_what_was_used_last_stays_in_memory() -> None:
    pictures = Pictures(3 * picture(0).nbytes)
    for k in range(3):
        pictures.put((k, IMAGE), picture(k))
    pictures.get((0, IMAGE))
    pictures.put((3, IMAGE), picture(3))
    assert pictures.file((1, IMAGE)) is not None
    assert all(pictures.file((k, IMAGE)) is None for k in (0, 2, 3))


def test_temporary_files_go_with_the_pictures(tmp_path: Path) -> None:
    m = SlamMap(Pictures(0, spill_into=tmp_path))
    for k in range(3):
        add(m, picture(k))
    other = copy.deepcopy(m)
    assert len(list(tmp_path.rglob("*.npy"))) == 3
    m.keyframes[1].image = picture(9)
    np.testing.assert_array_equal(other.keyframes[1].image, picture(1))
    np.testing.assert_array_equal(m.keyframes[1].image, picture(9))
    assert len(list(tmp_path.rglob("*.npy"))) == 4
    del m, other
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"No space left on device.*--memory"):
        Pictures(0, spill_into=tmp_path).put((0, IMAGE), picture(0))
    with pytest.raises(OutputError, match="no room"):
        Pictures(0, spill_into=tmp_path / "absent").put((0, IMAGE), picture(0))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    data, _ = encode(picture(1))
    file = describe(tmp_path / "a.png", data)
    with pytest.raises(MapError, match="cannot be read"):
        file.read()
    file.path.write_bytes(data[:-1])
    assert not file.exists()
    with pytest.raises(MapError, match="damaged"):
        file.read()
    file.path.write_bytes(b"\0" * len(data))
    assert file.exists()
    with pytest.raises(MapError, match="damaged"):
        file.read()
    noise = PictureFile(tmp_path / "a.png", describe(file.path, b"\0" * len(data)).sha256, len(data))
    with pytest.raises(MapError, match="no picture"):
        noise.read()


def test_depth_comes_and_goes() -> None:
    m = SlamMap(Pictures(0))
    add(m, picture(0))
    keyframe = m.keyframes[0]
    assert keyframe.depth is None
    keyframe.depth = np.ones((3, 4), np.float32)
    found = keyframe.depth
    assert found is not None
    assert found.shape == (3, 4)
    keyframe.depth = None
    assert keyframe.depth is None


def test_a_saved_map_has_compressed_pictures_only(tmp_path: Path) -> None:
    """What lies in memory's overflow without compression is encoded when the map is saved."""
    m = SlamMap(Pictures(0, spill_into=tmp_path))
    add(m, picture(5))
    spilled = m.pictures.file((0, IMAGE))
    assert spilled is not None
    assert spilled.is_raw
    np.testing.assert_array_equal(spilled.read(), picture(5))
    with MapFolder(tmp_path / "map") as folder:
        folder.save(m)
    assert [p.suffix for p in (tmp_path / "map").rglob("*-image-*")] == [".png"]
    np.testing.assert_array_equal(load_map(tmp_path / "map").keyframes[0].image, picture(5))
