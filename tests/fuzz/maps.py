"""Folders of saved maps: damaged, and well-formed ones that a program of ill will has made, with right checksums."""

import json
import random
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy
from fuzz.grammar import VALUES, as_json
from fuzz.mutations import EDGES, SEEDS, mutated_bytes, mutated_files
from fuzz.parser import Files, Parser, read_files
from hypothesis import strategies as st
from random_map import random_map, with_place_codes

from vgslam.map.pictures import describe
from vgslam.store.manifest import MANIFEST, Manifest, _checksum
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.merge import put_beside
from vgslam.store.open import load_map

LINKS = ("pictures", "pictures/000", ".lock", MANIFEST)


def samples() -> list[Files]:
    """A map of three keyframes."""
    with tempfile.TemporaryDirectory() as folder:
        with MapFolder(Path(folder) / "m") as opened:
            opened.save(with_place_codes(random_map(3)))
        return [read_files(Path(folder) / "m")]


def read(folder: Path) -> None:
    """Checked, loaded with all pictures, saved again into `out`, and opened for writing where it is."""
    check_map(folder)
    slam_map = load_map(folder)
    for keyframe in slam_map.keyframes:
        assert keyframe.image.dtype == np.uint8
        assert keyframe.depth is None or keyframe.depth.ndim == 2
    put_beside(slam_map, load_map(folder))
    with MapFolder(folder.parents[1] / "out" / "m") as new:
        new.save(slam_map)
    with MapFolder(folder) as again:
        again.save(load_map(folder))


def write_in_place(folder: Path) -> None:
    """Opened for writing alone: what is swept must not lie elsewhere."""
    with MapFolder(folder):
        pass


def _sealed(files: Files, arrays: dict[str, np.ndarray] | None, changes: dict[str, object]) -> Files:
    """The map with other arrays, other fields of its manifest, and checksums that are right."""
    files = dict(files)
    body = json.loads(files[MANIFEST])
    del body["checksum"]
    if arrays is not None:
        data = safetensors.numpy.save(arrays)
        state = describe(Path(), data)
        files[body["state"]] = data
        body |= {"state_sha256": state.sha256.hex(), "state_size": state.size}
    body |= changes
    files[MANIFEST] = as_json({**body, "checksum": _checksum(body)})
    return files


_SAMPLE: list[Files] = []


def _sample() -> Files:
    if not _SAMPLE:
        _SAMPLE.extend(samples())
    return dict(_SAMPLE[0])


def _other_arrays(seed: int) -> Files:
    rng, files = random.Random(seed), _sample()
    arrays = safetensors.numpy.load(next(v for k, v in files.items() if k.startswith("state-")))
    for _ in range(rng.choice((1, 1, 2, 4))):
        name = rng.choice(sorted(arrays))
        _change_array(arrays, name, rng)
    return _sealed(files, arrays, {})


def _change_array(arrays: dict[str, np.ndarray], name: str, rng: random.Random) -> None:
    array, what = arrays[name].copy(), rng.randrange(7)
    if what == 0:
        del arrays[name]
    elif what == 1:
        arrays[name] = array[: rng.randrange(len(array) + 1)]
    elif what == 2:
        arrays[name] = np.concatenate([array, array])
    elif what == 3:
        kinds = (np.float32, np.float64, np.int64, np.uint8, np.int32, np.bool_)
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(kinds))
    elif what == 4:
        arrays[name] = array.reshape(-1)
    elif array.size:
        flat, at = array.reshape(-1), rng.randrange(array.size)
        if array.dtype.kind == "f":
            flat[at] = rng.choice((np.nan, np.inf, -1.0, 0.0, 1e300, 1e-300))
        else:
            flat[at] = np.array(rng.choice((*EDGES, 2, 3, 40))).astype(array.dtype)
        arrays[name] = array


def _links(seed: int) -> Files:
    """Symbolic links in place of what a map holds."""
    rng, files = random.Random(seed), _sample()
    name = rng.choice((*LINKS, *files))
    for inside in [f for f in files if f == name or f.startswith(name + "/")]:
        del files[inside]
    return {**files, name + "@": rng.choice((b"../..", b"../../canary", b"/dev/zero", b"nowhere", b"../../out", b"."))}


def _damaged_picture(seed: int) -> Files:
    """A picture whose content is another, with the right checksum in the arrays and in its name."""
    rng, files = random.Random(seed), _sample()
    arrays = safetensors.numpy.load(next(v for k, v in files.items() if k.startswith("state-")))
    name = rng.choice([f for f in files if f.startswith("pictures/")])
    data = mutated_bytes(files.pop(name), rng)
    file = describe(Path(name), data)
    old = bytes.fromhex(name.rsplit("-", 1)[1].split(".")[0])
    i = next(i for i, row in enumerate(arrays["picture_sha256"]) if row.tobytes().startswith(old))
    arrays["picture_sha256"][i] = np.frombuffer(file.sha256, np.uint8)
    arrays["picture_size"][i] = file.size
    files[f"{name.rsplit('-', 1)[0]}-{file.sha256.hex()[:16]}.{name.rsplit('.', 1)[1]}"] = data
    return _sealed(files, arrays, {})


FIELDS = sorted(Manifest.__dataclass_fields__)
STATES = st.sampled_from(
    ["../../canary", "/etc/hostname", "state-x.safetensors", "..", "", ".lock", "a\x1b[2J", "pictures"]
)
MANIFESTS = st.one_of(
    st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5)), VALUES, min_size=1, max_size=3),
    STATES.map(lambda state: {"state": state}),
).map(lambda changes: _sealed(_sample(), None, changes))
INPUTS = st.one_of(
    mutated_files(samples),
    SEEDS.map(_other_arrays),
    SEEDS.map(_other_arrays),
    SEEDS.map(_damaged_picture),
    MANIFESTS,
    SEEDS.map(_links),
)
PARSERS = [
    Parser("map", INPUTS, read, may_write_inside=True),
    Parser("map, opened for writing", st.one_of(SEEDS.map(_links), MANIFESTS), write_in_place, may_write_inside=True),
]
