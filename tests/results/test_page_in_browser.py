"""The page in a browser: what is drawn, that it fits, and that keys move it."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser import DARK, browser_python, evaluated
from page_runs import write_cloud, write_run

from vgslam.results.comparison.compare import compare
from vgslam.results.comparison.document import page as comparison_page
from vgslam.results.page.document import page
from vgslam.results.page.run_data import read_run_data
from vgslam.viewer.style import component_color

pytestmark = pytest.mark.skipif(browser_python() is None, reason="needs PyQt6-WebEngine, a browser")

PIXELS = """
const canvas = document.querySelector('canvas');
const pixels = () => {
  const flat = document.createElement('canvas');
  [flat.width, flat.height] = [canvas.width, canvas.height];
  const pen = flat.getContext('2d');
  pen.drawImage(canvas, 0, 0);
  return pen.getImageData(0, 0, flat.width, flat.height).data;
};
const share = (data, like) => {
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += like(data[i], data[i + 1], data[i + 2], data[i + 3]);
  return n / (data.length / 4);
};
const redrawn = () => { window.dispatchEvent(new Event('beforeprint')); return pixels(); };
const key = (name) => {
  canvas.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  return redrawn();
};
const same = (a, b) => a.every((x, i) => x === b[i]);
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The page of a run with a cloud and a long name."""
    folder = write_run(tmp_path / "run", lost=(10, 11))
    report = json.loads((folder / "report.json").read_text())
    report |= {"source_name": "x" * 200, "warnings": ["y" * 300], "stage_cpu_s": {"track": 1.0}, "cpu_s": 2.0}
    (folder / "report.json").write_text(json.dumps(report))
    write_cloud(folder, 3000)
    out = tmp_path / "page.html"
    out.write_text(page(read_run_data(folder)), encoding="utf-8")
    return out


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("flags", ["", DARK])
def test_the_page_fits_and_the_view_is_drawn(written: Path, width: int, flags: str) -> None:
    got = evaluated(written, PIXELS + """
        return { page: document.documentElement.scrollWidth, window: innerWidth,
                 state: document.querySelector('.view').dataset.state,
                 dark: matchMedia('(prefers-color-scheme: dark)').matches,
                 paper: getComputedStyle(document.body).backgroundColor,
                 drawn: share(pixels(), (r, g, b, a) => a > 0) };""", width, flags=flags)  # fmt: skip
    assert got["page"] <= got["window"] == width
    assert got["state"] == "drawn"
    assert 0.02 < got["drawn"] < 0.98
    assert got["dark"] == bool(flags)
    assert got["paper"] == ("rgb(22, 24, 27)" if flags else "rgb(255, 255, 255)")


def test_the_path_has_its_components_colour_and_can_be_hidden(written: Path) -> None:
    red, green, blue = (int(component_color(0)[i : i + 2], 16) for i in (1, 3, 5))
    got = evaluated(written, PIXELS + f"""
        const like = (r, g, b, a) => a === 255 && r === {red} && g === {green} && b === {blue};
        const before = share(pixels(), like);
        for (const box of document.querySelectorAll('.controls input')) box.checked = false;
        return [before, share(redrawn(), like), share(redrawn(), (r, g, b, a) => a > 0)];""")
    assert got[0] > 1e-4
    assert got[1:] == [0, 0]


def test_keys_turn_move_and_zoom_and_r_brings_the_first_view_back(written: Path) -> None:
    got = evaluated(written, PIXELS + """
        const first = redrawn();
        const moved = ['ArrowLeft', 'ArrowUp', '+', '-'].map((name) => !same(first, key(name)));
        return [moved, same(first, key('q')), same(first, key('r')), same(first, redrawn())];""")
    assert got == [[True, True, True, True], False, True, True]


def test_one_finger_turns_and_two_move_and_zoom(written: Path) -> None:
    """Two fingers that part zoom in: more of the view is drawn on. Once all are up, a finger that only passes moves
    nothing."""
    got = evaluated(written, PIXELS + """
        const box = canvas.getBoundingClientRect();
        const finger = (kind, id, x, y) => canvas.dispatchEvent(new PointerEvent(kind, {
          pointerId: id, pointerType: 'touch', clientX: box.x + x, clientY: box.y + y, bubbles: true }));
        const first = redrawn();
        finger('pointerdown', 1, 100, 100); finger('pointermove', 1, 140, 100); finger('pointerup', 1, 140, 100);
        const turned = redrawn();
        const back = key('r');
        finger('pointerdown', 1, 150, 150); finger('pointerdown', 2, 170, 150);
        finger('pointermove', 1, 110, 150); finger('pointermove', 2, 210, 150);
        const zoomed = redrawn();
        finger('pointerup', 1, 110, 150); finger('pointerup', 2, 210, 150);
        finger('pointermove', 1, 10, 10);
        const n = (data) => share(data, (r, g, b, a) => a > 0);
        return [same(first, turned), same(first, back), same(first, zoomed), same(zoomed, redrawn()),
                n(zoomed) > n(first)];""")
    assert got == [False, True, False, True, True]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("flags", ["", DARK])
def test_a_comparison_fits_and_shows_its_paths(tmp_path: Path, width: int, flags: str) -> None:
    runs = [write_run(tmp_path / name, lost=lost) for name, lost in (("a" * 80, ()), ("b", (10, 11)))]
    out = tmp_path / "compare.html"
    out.write_text(comparison_page(compare([read_run_data(run) for run in runs])), encoding="utf-8")
    got = evaluated(out, """
        const image = document.querySelector('figure img');
        return [document.documentElement.scrollWidth, innerWidth, image.complete && image.naturalWidth > 0];""",
        width, flags=flags)  # fmt: skip
    assert got[0] <= got[1] == width
    assert got[2]


def test_a_point_is_drawn_where_the_projection_says(written: Path) -> None:
    """By the pinhole equations: the eye is `distance` from the target, opposite to where it looks."""
    yaw, pitch, distance, point = 0.4, 0.3, 2.5, np.array([0.3, -0.2, 0.5])
    got = evaluated(written, f"""
        const m = projectionOf({{ yaw: {yaw}, pitch: {pitch}, distance: {distance}, target: [0.1, 0.2, 0] }}, 1.5);
        return [...m];""")
    x, y, _, w = np.array(got).reshape(4, 4).T @ (*point, 1.0)
    ahead = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.cross(ahead, (0, 0, 1)) / np.linalg.norm(np.cross(ahead, (0, 0, 1)))
    local = point - (np.array([0.1, 0.2, 0]) - distance * ahead)
    depth, focal = local @ ahead, 1 / np.tan(0.4)
    assert w == pytest.approx(depth, rel=1e-5)
    assert x / w == pytest.approx(focal / 1.5 * (local @ right) / depth, rel=1e-4)
    assert y / w == pytest.approx(focal * (local @ np.cross(right, ahead)) / depth, rel=1e-4)


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    evil = "</script><img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
    report = json.loads((folder / "report.json").read_text()) | {"source_name": evil, "warnings": [evil]}
    (folder / "report.json").write_text(json.dumps(report))
    out = tmp_path / "page.html"
    out.write_text(page(read_run_data(folder)), encoding="utf-8")
    title, n_live = evaluated(out, "return [document.title, document.querySelectorAll('img[src=x], h1 *').length];")
    assert title.startswith("</script>")
    assert n_live == 0
    # and were such a tag in the page, the policy would not let it run
    broken = out.read_text().replace("</body>", "<script>document.title = 'hacked'</script></body>")
    out.write_text(broken, encoding="utf-8")
    assert evaluated(out, "return document.title;").startswith("</script>")


def test_without_webgl_the_page_says_so(written: Path) -> None:
    got = evaluated(written, """
        return [getComputedStyle(document.querySelector('.fallback')).display,
                getComputedStyle(document.querySelector('canvas')).display];""", flags="--disable-3d-apis")  # fmt: skip
    assert got == ["block", "none"]
