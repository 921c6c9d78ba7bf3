"""A map comes back as it was saved, to the last bit; what is not such a map is refused in one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from random_map import add_random_keyframe, assert_same, assert_same_map, random_map
from waiting import HANG_S

from vgslam.errors import MapError, OutputError
from vgslam.map.pictures import Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.store.arrays import EDGE_KINDS, STATUSES
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.open import load_map
from vgslam.types import Camera, Edge, EdgeKind, Keyframe, PoseEstimate, Status


def save(m: SlamMap, path: Path) -> Path:
    with MapFolder(path) as folder:
        folder.save(m)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(random_map(7), tmp_path / "m.vgslam")


def stamps(path: Path) -> dict[str, int]:
    return {str(p.relative_to(path)): p.stat().st_mtime_ns for p in path.rglob("*") if p.is_file()}


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("n_keyframes", [0, 1, 7])
def test_a_map_comes_back_bit_by_bit(tmp_path: Path, n_keyframes: int) -> None:
    m = random_map(n_keyframes)
    assert_same_map(load_map(save(m, tmp_path / "m")), m)
    assert_same_map(load_map(tmp_path / "m", budget_bytes=0), m)


def test_another_process_reads_the_same_poses(saved: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from vgslam.store.open import load_map\n"
        "m = load_map(Path(sys.argv[1])); np.savez(sys.argv[2], T=m.trajectory().T_world_cam,"
        " L=m.landmarks_world(np.arange(len(m.landmarks))), K=m.keyframe_trajectory().T_world_cam)"
    )
    subprocess.run([sys.executable, "-c", code, str(saved), str(tmp_path / "read.npz")], check=True, timeout=HANG_S)
    m, read = random_map(7), np.load(tmp_path / "read.npz")
    assert_same(read["T"], m.trajectory().T_world_cam)
    assert_same(read["K"], m.keyframe_trajectory().T_world_cam)
    assert_same(read["L"], m.landmarks_world(np.arange(len(m.landmarks))))


def test_loading_and_checking_write_nothing(saved: Path) -> None:
    before = content(saved), stamps(saved)
    load_map(saved)
    assert check_map(saved).problems == []
    assert (content(saved), stamps(saved)) == before


def test_going_on_with_a_loaded_map_equals_going_on_without_a_break(saved: Path, tmp_path: Path) -> None:
    unbroken, loaded = random_map(7), load_map(saved)
    for m in (unbroken, loaded):
        rng = np.random.default_rng(5)
        session = m.begin_session("second", "2026-02-02")
        assert session.first_frame_id == 14
        add_random_keyframe(m, rng)
        add_random_keyframe(m, rng)
    assert_same_map(loaded, unbroken)
    save(loaded, saved)
    assert_same_map(load_map(saved), unbroken)
    m = load_map(saved)
    assert [f.frame_id for f in m.session_frames()] == [14, 15, 16, 17]
    assert [f.frame_id for f in m.session_frames(0)] == list(range(14))
    np.testing.assert_array_equal(m.keyframe_trajectory().frame_ids, [14, 16])
    assert len(m.trajectory(0)) == 7


def test_unchanged_pictures_are_not_written_again_and_old_ones_go(saved: Path) -> None:
    before = stamps(saved)
    m = load_map(saved)
    m.keyframes[2].depth = np.full((12, 16), 3.0, np.float32)
    add_random_keyframe(m, np.random.default_rng(9))
    save(m, saved)
    after = stamps(saved)
    same = {name for name in before if after.get(name) == before[name]}
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert {n for n in gone if "pictures" in n} == {n for n in before if "000002-depth" in n}
    assert sum("000002-depth" in n for n in new) == 1
    assert len([n for n in new if "pictures" in n]) == 2  # and the new keyframe's image
    assert len([n for n in same if "pictures" in n]) == len([n for n in before if "pictures" in n]) - 1
    assert len([n for n in after if n.startswith("state-")]) == 1
    assert_same_map(load_map(saved), m)


def test_a_map_saved_elsewhere_is_whole_there(saved: Path, tmp_path: Path) -> None:
    m = load_map(saved)
    other = save(m, tmp_path / "copy")
    for p in saved.rglob("*.png"):
        p.unlink()
    assert_same_map(load_map(other), random_map(7))


def test_two_runs_cannot_write_one_map(saved: Path) -> None:
    with MapFolder(saved), pytest.raises(MapError, match="another run"):
        MapFolder(saved)
    MapFolder(saved).close()


def test_what_a_killed_save_left_is_removed_by_the_next_run(saved: Path) -> None:
    (saved / "pictures" / "000" / ".000003-image-0123.png.x7").write_bytes(b"half")
    (saved / "pictures" / "000" / "000009-image-0123456789abcdef.png").write_bytes(b"whole")
    (saved / "state-000002-0000.safetensors").write_bytes(b"whole")
    check = check_map(saved)
    assert (check.n_leftovers, check.problems) == (3, [])
    m = load_map(saved)
    save(m, saved)
    assert check_map(saved).n_leftovers == 0
    assert_same_map(load_map(saved), random_map(7))


def state_of(path: Path) -> Path:
    return next(path.glob("state-*"))


def edit_manifest(path: Path, **changes: object) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "not a vgslam map"),
    "manifest cut": (lambda p: (p / "manifest.json").write_text((p / "manifest.json").read_text()[:99]), "damaged"),
    "foreign": (lambda p: (p / "manifest.json").write_text('{"asset": {"version": "2.0"}}'), "another program"),
    "newer": (lambda p: edit_manifest(p, version=9), r"version 9, this program reads up to 8; update"),
    "manifest changed": (lambda p: edit_manifest(p, generation=8), "checksum"),
    "no state": (lambda p: state_of(p).unlink(), "cannot be read"),
    "state cut": (lambda p: state_of(p).write_bytes(state_of(p).read_bytes()[:-7]), "truncated"),
    "state changed": (lambda p: flip(state_of(p)), "checksum"),
    "picture gone": (lambda p: next(p.rglob("*.png")).unlink(), "missing or truncated"),
    "picture cut": (lambda p: next(p.rglob("*.tiff")).write_bytes(b"II"), "missing or truncated"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_maps_are_refused_in_one_line(saved: Path, damage: str) -> None:
    spoil, message = DAMAGES[damage]
    spoil(saved)
    with pytest.raises(MapError, match=message) as caught:
        load_map(saved)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 9
    assert check_map(saved).problems


def test_a_flipped_bit_of_a_picture_is_found_when_it_is_read_and_by_the_check(saved: Path) -> None:
    flip(next(saved.rglob("000003-image*")))
    m = load_map(saved)
    with pytest.raises(MapError, match=r"000003-image.*damaged"):
        _ = m.keyframes[3].image
    problems = check_map(saved).problems
    assert len(problems) == 1
    assert "000003-image" in problems[0]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(MapError, match="not empty"):
        MapFolder(tmp_path)
    with pytest.raises(MapError, match="a map is a folder"):
        MapFolder(tmp_path / "thesis.txt")
    with pytest.raises(MapError, match="no such map"):
        load_map(tmp_path / "absent")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.txt"]


def test_a_full_disk_keeps_the_last_save(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m = load_map(saved)
    add_random_keyframe(m, np.random.default_rng(3))
    with MapFolder(saved) as folder:
        with monkeypatch.context() as patch:

            def full(_: int) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr("vgslam.atomic.os.fsync", full)
            with pytest.raises(OutputError, match="No space left"):
                folder.save(m)
        assert_same_map(load_map(saved), random_map(7))
        folder.save(m)
    assert_same_map(load_map(saved), m)


def test_a_map_beyond_its_memory_budget_saves_and_loads_alike(tmp_path: Path) -> None:
    m = random_map(7, pictures=Pictures(budget_bytes=5000, spill_into=tmp_path))
    assert_same_map(load_map(save(m, tmp_path / "m")), random_map(7))
    assert_same_map(m, random_map(7))


@pytest.mark.parametrize(("kind", "stored"), [
    (Keyframe, {"id", "frame_id", "timestamp_s", "image", "camera", "S_world_keyframe", "component_id", "depth",
                "confidence", "depth_camera"}),
    (Edge, {"id_a", "id_b", "S_a_b", "sigmas", "kind", "inlier_ratio"}),
    (PoseEstimate, {"frame_id", "timestamp_s", "status", "ref_id", "T_ref_cam", "covariance", "n_inliers",
                    "inlier_ratio", "component_id", "rotation_only"}),
    (Camera, {"fx", "fy", "cx", "cy", "width", "height", "distortion", "is_fisheye", "removed_k1", "enlarged"}),
])  # fmt: skip
def test_no_field_is_forgotten(kind: type, stored: set[str]) -> None:
    """A field that joins these types has to join the format too, with a new version."""
    assert {f.name for f in fields(kind)} == stored


def test_every_kind_of_edge_and_status_has_its_number() -> None:
    assert set(EDGE_KINDS) == set(EdgeKind)
    assert set(STATUSES) == set(Status)
