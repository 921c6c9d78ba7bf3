"""What may import what: light packages stay light, and each heavy library has its one room."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from waiting import HANG_S

PACKAGE = Path(__file__).parents[1] / "vgslam"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "gtsam", "evo", "rerun", "matplotlib", "pycolmap", "huggingface_hub")
LARGE = ("scipy", "open3d", "trimesh", "faiss", "rosbags")


@cache
def loaded_by(statement: str) -> frozenset[str]:
    """Names of the top-level packages that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=HANG_S
    )
    return frozenset(done.stdout.split())


@cache
def imports(path: Path, at_top_level_only: bool = False) -> frozenset[str]:
    """Full names of the modules that a file imports; relative ones are refused by the style."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in tree.body if at_top_level_only else ast.walk(tree):
        if at_top_level_only and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue  # never run
        inner = ast.walk(node) if at_top_level_only and isinstance(node, ast.If | ast.Try | ast.With) else [node]
        for n in inner:
            if isinstance(n, ast.Import):
                found |= {alias.name for alias in n.names}
            elif isinstance(n, ast.ImportFrom):
                assert n.level == 0, f"{path}: relative import"
                found.add(n.module or "")
    return frozenset(found)


def importers_of(library: str, at_top_level_only: bool = False) -> set[str]:
    """Files of the package, relative to it, that import a library."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(name.split(".")[0] == library for name in imports(path, at_top_level_only))
    }


def test_the_scan_sees_imports() -> None:
    """The rules below would hold for an empty scan too."""
    assert "map/slam_map.py" in importers_of("numpy")
    assert len(FILES) > 30


@pytest.mark.parametrize(
    "statement", ["import vgslam", "import vgslam.sources, vgslam.types", "import vgslam.config, vgslam.interfaces"]
)
def test_light_packages_load_nothing_heavy(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "vgslam" in loaded
    assert not loaded & set(HEAVY)


def test_the_package_itself_loads_no_library() -> None:
    assert not loaded_by("import vgslam") & {"numpy", "cv2", "yaml", "tyro", *HEAVY}


def test_the_protocols_name_the_rooms_above_for_type_checkers_only() -> None:
    """pyproject.toml lets `interfaces` name them; at run time it knows none of them."""
    assert any(name.startswith("vgslam.reloc") for name in imports(PACKAGE / "interfaces.py"))
    at_run_time = imports(PACKAGE / "interfaces.py", at_top_level_only=True)
    assert {name for name in at_run_time if name.startswith("vgslam")} == {"vgslam.types"}


def test_the_frontend_and_the_map_need_no_heavy_library() -> None:
    assert not loaded_by("import vgslam.frontend.tracker, vgslam.frontend.sfm, vgslam.map.slam_map") & set(HEAVY)


def test_heavy_libraries_are_seen_where_they_are_loaded() -> None:
    assert "gtsam" in loaded_by("import vgslam.graph.pose_graph")


@pytest.mark.parametrize("library", ["pycolmap", "rclpy", "open3d"])
def test_optional_libraries_are_never_imported_at_the_top(library: str) -> None:
    assert importers_of(library, at_top_level_only=True) == set()


def test_rerun_stays_in_a_module_that_is_loaded_when_a_viewer_is_asked_for() -> None:
    assert importers_of("rerun") == {"viewer/rerun_viewer.py"}
    assert "rerun" not in loaded_by("import vgslam.viewer.open, vgslam.commands.run, vgslam.viewer.open")


def test_torch_is_imported_at_the_top_by_the_networks_alone() -> None:
    at_top = importers_of("torch", at_top_level_only=True)
    assert at_top
    elsewhere = {name for name in at_top if name.split("/")[0] not in ("network", "adapt")}
    assert elsewhere == {"geometry/torch_se3.py", "multiview/pose_solver.py"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], []], ids=str)
def test_what_the_program_says_of_itself_needs_no_library(words: list[str]) -> None:
    loaded = loaded_by(f"import sys\nfrom vgslam.cli import main\nmain({words})")
    assert "vgslam" in loaded
    assert not loaded & {*HEAVY, *LARGE, "numpy", "cv2", "tyro", "rich", "yaml", "av"}


def test_a_run_without_a_network_reaches_its_frames_without_large_libraries() -> None:
    loaded = loaded_by("from vgslam.cli import parse\nparse(['run', 'x', '--network', 'none'])")
    assert "cv2" in loaded
    assert not loaded & ({*HEAVY, *LARGE} - {"gtsam"})


def test_a_whole_run_without_a_network_never_loads_torch(demo_folder: Path, tmp_path: Path) -> None:
    words = ["run", str(demo_folder), "--network", "none", "--out", str(tmp_path / "out"), "--quiet",
             "--map", str(tmp_path / "map"), "--max-frames", "20", "--cores", "1"]  # fmt: skip
    loaded = loaded_by(f"from vgslam.cli import main\nassert main({words}) == 0")
    assert {"evo", "matplotlib", "gtsam"} <= loaded
    assert not loaded & {"torch", "huggingface_hub", "trimesh", "open3d", "rerun", "rosbags"}
    assert (tmp_path / "out" / "report.json").is_file()


def test_packages_stay_light() -> None:
    """No __init__ drags its package's modules in, but that of the network, which is torch anyway."""
    for path in FILES:
        if path.name == "__init__.py" and "network" not in path.parts:
            heavy = {name.split(".")[0] for name in imports(path)} & set(HEAVY)
            assert not heavy, f"{path} imports {heavy}"


def test_a_run_loads_what_a_recording_needs() -> None:
    """No ffmpeg for a folder of images, nor what only the end of a run needs."""
    loaded = loaded_by("from vgslam.cli import parse; parse(['run', 'FOLDER'])")
    assert "gtsam" in loaded
    assert not loaded & {"av", "matplotlib", "evo", "scipy", "pycolmap", "torch"}
