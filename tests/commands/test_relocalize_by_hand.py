"""What `vgslam relocalize` hands on and says, with a stand-in for what finds images in the map."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hand_map import at, hand_map
from rich.console import Console

from vgslam.cli import parse
from vgslam.commands import relocalize
from vgslam.errors import InputError, TrackingError
from vgslam.reloc.localization import Evidence, Localization

T = at(x=1.5, y=-2.25, z=0.125)


def answer(is_ambiguous: bool = False) -> Localization:
    evidence = Evidence(60, 0.9, 0.8, 40, 2)
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    return Localization(T, np.eye(6), evidence, "pnp", (2, 1), 2, 3, *nothing, depth=1.0, is_ambiguous=is_ambiguous)


class Finder:
    """Finds images by their first pixel: 1 is accepted, 2 is in two places, 3 is not trusted, else there is none."""

    def __init__(self) -> None:
        self.map = hand_map([at(), at(), at()])
        self.seen: list[Any] = []
        self.brightest: list[int] = []

    def locate(self, image: np.ndarray, method: str | None) -> Localization | None:
        self.seen.append((image.shape, method))
        self.brightest.append(int(image.max()))
        kind = int(image[0, 0, 0])
        if kind == 9:
            raise InputError("is odd")
        return answer(kind == 2) if kind in (1, 2, 3) else None

    def accepts(self, found: Localization | None) -> bool:
        return found is not None and not found.is_ambiguous and len(self.seen) != 3


class Handed:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.finder, self.given, self.opened = Finder(), list[Any](), list[Any]()
        monkeypatch.setattr(relocalize, "Photos", self._photos)
        monkeypatch.setattr("vgslam.store.open.load_map", lambda path: ("map", path))
        monkeypatch.setattr("vgslam.network.options.require_torch", lambda what: None)
        options = lambda weights, device: SimpleNamespace(weights=weights, device=device)  # noqa: E731
        opening = SimpleNamespace(BackboneOptions=options, open_backbone=self._open)
        proposing = SimpleNamespace(LEARNED_METHODS=("learned",), network_proposer=self._proposer)
        monkeypatch.setitem(sys.modules, "vgslam.network.open_backbone", opening)  # torch is not loaded
        monkeypatch.setitem(sys.modules, "vgslam.reloc.learned", proposing)

    def _open(self, options: object, show: object) -> str:
        self.opened.append(options)
        return "network"

    def _proposer(self, backbone: str) -> Any:
        self.proposer = SimpleNamespace(of=backbone, methods=("learned",))
        return self.proposer

    def _photos(self, *given: Any) -> Any:
        self.given.append(given)
        handed = self

        class Stand:
            proposer: Any = None

            def prepare(self, path: Path, image: np.ndarray) -> tuple[Finder, np.ndarray]:
                handed.given.append(self.proposer)
                return handed.finder, image

        return Stand()


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    return Handed(monkeypatch)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images of 6x4 pixels: found, in two places, not trusted, not found."""
    (tmp_path / "images").mkdir()
    for i, kind in enumerate((1, 2, 3, 0)):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), np.full((4, 6, 3), kind, np.uint8))
    return tmp_path / "images"


def test_options_are_handed_on(handed: Handed, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["relocalize", "some.map", str(images / "0.png"), "--calib", "c.json", "--fov-deg", "60", "--weights", "w",
             "--device", "cpu", "--method", "learned"]  # fmt: skip
    assert relocalize.run_relocalize(parse(words)) == 0
    assert handed.given[0][:-1] == (("map", Path("some.map")), None, Path("c.json"), 60.0, (6, 4)), "width, height"
    assert handed.given[1] is handed.proposer
    assert handed.proposer.of == "network"
    assert (handed.opened[0].weights, handed.opened[0].device) == ("w", "cpu")
    assert handed.finder.seen == [((4, 6, 3), "learned")]
    capsys.readouterr()
    handed.given[0][-1]("odd")
    assert capsys.readouterr() == ("", "odd\n"), "what is odd about a calibration is no part of the answer"


@pytest.mark.parametrize("method", ["pnp", None])
def test_no_network_is_opened_where_none_is_given(handed: Handed, images: Path, method: str | None) -> None:
    words = [] if method is None else ["--method", method]
    assert relocalize.run_relocalize(parse(["relocalize", "m", str(images / "0.png"), *words])) == 0
    assert (handed.given[1], handed.opened) == (None, [])


def test_json_says_of_each_image_whether_it_was_found_and_what_for(
    handed: Handed, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert relocalize.run_relocalize(parse(["relocalize", "m", str(images), str(images / "0.png"), "--json"])) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert (said["n_images"], said["n_found"], printed.err) == (5, 2, "")
    rows = said["images"]
    assert [row["is_found"] for row in rows] == [True, False, False, False, True]
    assert [row.get("is_ambiguous") for row in rows] == [False, True, False, None, False]
    assert rows[0]["references"] == [{"keyframe": 2, "frame": 20}, {"keyframe": 1, "frame": 10}]
    assert (rows[0]["component"], rows[0]["trust"]) == (3, round(answer().trust, 4))
    assert 0.0 < rows[0]["trust"] < 1.0
    np.testing.assert_array_equal(rows[0]["T_world_cam"], T)
    assert rows[3].keys() == {"image", "is_found"}


def test_people_are_told_the_place_of_what_was_found_alone(
    handed: Handed, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relocalize, "wide_console", lambda width: Console(width=150))
    assert relocalize.run_relocalize(parse(["relocalize", "m", str(images)])) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if ".png" in line]
    assert [row[:3] for row in rows] == [
        ["0.png", "yes", "1.500, -2.250, 0.125"], ["1.png", "ambiguous", ""], ["2.png", "no", ""], ["3.png", "no", ""],
    ]  # fmt: skip
    assert rows[0][4:] == ["60", "pnp", "2, 1"]
    assert "1 of 4 image(s) found" in out


def test_nothing_found_is_an_error_and_the_rows_are_printed_all_the_same(
    handed: Handed, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrackingError, match="none of 2 image"):
        relocalize.run_relocalize(parse(["relocalize", "m", str(images / "1.png"), str(images / "3.png"), "--json"]))
    assert json.loads(capsys.readouterr().out)["n_found"] == 0


def test_a_folder_without_images_and_an_image_that_is_odd_are_named(handed: Handed, images: Path) -> None:
    (images / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        relocalize.run_relocalize(parse(["relocalize", "m", str(images / "empty")]))
    cv2.imwrite(str(images / "odd.png"), np.full((4, 6, 3), 9, np.uint8))
    with pytest.raises(InputError, match=r"odd\.png: is odd"):
        relocalize.run_relocalize(parse(["relocalize", "m", str(images / "odd.png")]))


def test_one_image_that_cannot_be_used_takes_no_other_along(
    handed: Handed, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = images.parent / "bad.png"
    bad.write_text("text")  # also the first, whose size would count
    cv2.imwrite(str(images / "1.png"), np.full((4, 6, 3), 9, np.uint8))
    assert relocalize.run_relocalize(parse(["relocalize", "m", str(bad), str(images), "--json"])) == 2
    assert handed.given[0][4] == (6, 4)
    printed = capsys.readouterr()
    rows = json.loads(printed.out)["images"]
    assert [row["is_found"] for row in rows] == [False, True, False, False, False]
    assert ["error" in row for row in rows] == [True, False, True, False, False]
    assert printed.err.splitlines() == [row["error"] for row in rows if "error" in row]
    assert rows[2]["error"].endswith("1.png: is odd")
    for other in (images / "1.png", bad):
        with pytest.raises(InputError):
            relocalize.run_relocalize(parse(["relocalize", "m", str(images / "1.png"), str(other)]))


def test_grey_and_deep_images_are_brought_to_rgb_of_8_bits_by_one_range(handed: Handed, images: Path) -> None:
    """Thermal images of 16 bits have one range for all of them."""
    cv2.imwrite(str(images / "grey.png"), np.full((4, 6), 1, np.uint8))
    assert relocalize.read_rgb(images / "grey.png").shape == (4, 6, 3)
    deep = [images / f"deep{i}.png" for i in (0, 1)]
    for path, top in zip(deep, (1000, 2000), strict=True):
        cv2.imwrite(str(path), np.array([[0, 0, 0, top, top, top]] * 4, np.uint16))
    with pytest.raises(TrackingError):
        relocalize.run_relocalize(parse(["relocalize", "m", *map(str, deep)]))
    assert [shape for shape, _ in handed.finder.seen] == [(4, 6, 3)] * 2
    assert handed.finder.brightest == [125, 249], "1000 and 2000 of the 2047 of 11 bits"


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(InputError, match=r"a\.png: "):
        relocalize.read_rgb(tmp_path / "a.png")
