"""Writes `data/v1.vgslam`, a map as version 1 of the format had it: a single run, no sessions.

    python tests/store/make_v1_fixture.py

Run from the root of the repository with tests/ on PYTHONPATH.
"""

import hashlib
import json
from pathlib import Path

import safetensors.numpy
from random_map import random_map

from vgslam.store.manifest import _checksum
from vgslam.store.map_folder import MapFolder

TARGET = Path(__file__).parent / "data" / "v1.vgslam"


def main() -> None:
    m = random_map(3, seed=1)
    m.sessions = []
    with MapFolder(TARGET) as folder:
        manifest = folder.save(m)
    state = TARGET / manifest.state
    arrays = safetensors.numpy.load(state.read_bytes())
    del arrays["session_first_frame"]
    data = safetensors.numpy.save(arrays)
    state.unlink()
    digest = hashlib.sha256(data).hexdigest()
    name = f"state-000001-{digest[:16]}.safetensors"
    (TARGET / name).write_bytes(data)
    body = json.loads((TARGET / "manifest.json").read_text())
    for key in ("checksum", "session_names", "session_began"):
        del body[key]
    body |= {"version": 1, "saved_at": "2026-01-01T00:00:00+00:00", "program": "vgslam 0.1.0"}
    body |= {"state": name, "state_sha256": digest, "state_size": len(data)}
    del body["summary"]["sessions"]
    (TARGET / "manifest.json").write_text(json.dumps({**body, "checksum": _checksum(body)}, indent=1) + "\n")
    (TARGET / ".lock").unlink()


if __name__ == "__main__":
    main()
