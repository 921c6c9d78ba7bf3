"""`vgslam relocalize` and `Localizer` on a rendered room mapped with true geometry."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error, render, room, smooth_texture

from vgslam.cli import main
from vgslam.errors import InputError
from vgslam.frontend.features import FeatureConfig, detect_corners
from vgslam.geometry.sim3 import Sim3
from vgslam.localizer import Localizer
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.proposal import Proposal
from vgslam.store.map_folder import MapFolder
from vgslam.types import Array, Image, Keyframe

OFFSET = 100.0
"""Where the second of two identical rooms begins, along x."""


def place(i: int) -> Array:
    return pose((0, -2.0 * i, 0), (0.3 * i, 0.05 * i, 0))


def add_view(m: SlamMap, T: Array, at: Array) -> None:
    """A keyframe that shows what a camera at T sees, which the map believes to be `at`."""
    image, depth = render(room(), CAMERA, T)
    k = len(m.keyframes)
    px = detect_corners(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.zeros((0, 2), np.float32), 300, FeatureConfig())
    u, v = px.round().astype(int).T
    z = depth[v, u].astype(np.float64)
    px, z = px[z > 0].astype(np.float64), z[z > 0]
    m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, Sim3.from_T(at)), np.zeros(0, np.int64), np.zeros((0, 2)))
    ids = m.landmarks.add(k, CAMERA.rays(px) * z[:, None], np.full(len(px), 0.01), np.zeros((len(px), 3), np.uint8))
    m.landmarks.is_triangulated[ids] = True
    m.observe(k, ids, px)


def mapped(n_rooms: int = 1) -> SlamMap:
    m = SlamMap()
    for r in range(n_rooms):
        for i in range(3):
            at = place(i).copy()
            at[0, 3] += OFFSET * r
            add_view(m, place(i), at)
    return m


QUERY = pose((1, -3, 2), (0.35, 0.1, 0.1))


@pytest.fixture(scope="module")
def query() -> Image:
    return render(room(), CAMERA, QUERY)[0]


def unrelated(i: int = 0) -> Image:
    return np.repeat(smooth_texture(320, seed=180 + i)[:240, :, None], 3, axis=2)


def test_an_image_is_located(query: Image) -> None:
    localizer = Localizer(mapped())
    found = localizer.locate(query)
    assert localizer.accepts(found)
    angle, distance = pose_error(found.T_world_cam, QUERY)
    assert angle < 0.3
    assert distance < 0.05
    assert found.method == "pnp"
    assert set(found.references) <= {0, 1, 2}
    assert found.evidence.n_references == len(found.references)


def test_two_identical_rooms_give_no_answer(query: Image) -> None:
    localizer = Localizer(mapped(2))
    found = localizer.locate(query)
    assert found is not None
    assert found.is_ambiguous
    assert found.trust == 0.0
    assert not localizer.accepts(found)


def test_what_is_not_in_the_map_is_not_located() -> None:
    localizer = Localizer(mapped())
    assert not any(localizer.accepts(localizer.locate(unrelated(i))) for i in range(3))


class Proposer:
    """Proposes one pose, and counts how often it is asked."""

    def __init__(self, T: Array) -> None:
        self.T, self.n_asked = T, 0

    def propose(self, references, image, camera) -> list[Proposal]:
        self.n_asked += 1
        return [Proposal(self.T, "learned", 0.1)]


def test_a_proposal_is_believed_where_the_map_confirms_it(query: Image) -> None:
    near = Proposer(QUERY @ pose((1, 1, 0), (0.05, 0.0, 0.05)))
    localizer = Localizer(mapped(), proposer=near)
    found = localizer.locate(query, "learned")
    assert localizer.accepts(found)
    assert found.method == "learned"
    assert pose_error(found.T_world_cam, QUERY)[1] < 0.05
    wrong = Localizer(mapped(), proposer=Proposer(QUERY @ pose((0, 60, 0), (1.0, 0, 2.0))))
    assert not wrong.accepts(wrong.locate(query, "learned"))


def test_the_network_is_asked_only_where_matching_fails(query: Image) -> None:
    proposer = Proposer(QUERY)
    localizer = Localizer(mapped(), proposer=proposer)
    assert localizer.accepts(localizer.locate(query))
    assert proposer.n_asked == 0
    assert not localizer.accepts(localizer.locate(unrelated()))
    assert proposer.n_asked == 1


def test_images_that_do_not_fit_are_refused() -> None:
    localizer = Localizer(mapped())
    with pytest.raises(InputError, match="160x120"):
        localizer.locate(np.zeros((120, 160, 3), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        localizer.locate(np.zeros((240, 320), np.uint8))
    with pytest.raises(InputError, match="no keyframes"):
        Localizer(SlamMap())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, query: Image) -> Path:
    """A folder with a saved map and two images, of which one is in the map."""
    folder = tmp_path_factory.mktemp("reloc")
    with MapFolder(folder / "map") as out:
        out.save(mapped())
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "1.png"), query[:, :, ::-1])
    cv2.imwrite(str(folder / "images" / "2.png"), unrelated())
    return folder


def test_the_command_says_in_json_where_images_are(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relocalize", str(saved / "map"), str(saved / "images"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["n_images"], said["n_found"]) == (2, 1)
    first, second = said["images"]
    assert first["is_found"]
    assert pose_error(np.array(first["T_world_cam"]), QUERY)[1] < 0.05
    assert first["references"][0].keys() == {"keyframe", "frame"}
    assert first["evidence"]["n_inliers"] >= 30
    assert not second["is_found"]


def test_the_command_prints_a_table(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relocalize", str(saved / "map"), str(saved / "images" / "1.png")]) == 0
    out = capsys.readouterr().out
    assert "1.png" in out
    assert "pnp" in out
    assert "1 of 1 image(s) found" in out


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["map", "images/2.png"], 4, "none of 1 image(s) was found"),
        (["map", "images/3.png"], 2, "3.png: the file cannot be read"),
        (["images", "images/1.png"], 9, "images"),
        (["map", "images/1.png", "--method", "learned"], 2, "--weights"),
        (["map", "images/1.png", "--weights", "vggt-s2", "--method", "learnt"], 2, "it has pnp, consensus"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    saved: Path, words: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(saved / w) if w[0] in "mi" else w for w in words[:2]] + words[2:]
    assert main(["relocalize", *given]) == code
    err = capsys.readouterr().err.strip()
    assert line in err
    assert len(err.splitlines()) == 1


def test_what_a_network_has_not_learned_is_not_looked_for_in_vain(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(saved / "map"), str(saved / "images"), "--weights", "random"]
    assert main(["relocalize", *words, "--method", "learned-consensus"]) == 2
    assert "random has no relocalization adapter" in capsys.readouterr().err.splitlines()[-1]
