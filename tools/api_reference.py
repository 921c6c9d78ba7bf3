"""Writes docs/api.md: signatures and docstrings of what programs that use vgslam need. Nothing of it is imported.

python tools/api_reference.py
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "api.md"
MODULES = {
    "vgslam": (),
    "vgslam.slam": ("Slam",),
    "vgslam.system": ("SlamSystem",),
    "vgslam.slam_config": ("SlamConfig",),
    "vgslam.localizer": ("Localizer",),
    "vgslam.session.self_calibration": ("estimate_camera", "CalibrationEstimate"),
    "vgslam.session.pose_stream": ("StreamOptions", "PoseStream"),
    "vgslam.poses_out.frame_pose": ("FramePose",),
    "vgslam.poses_out.open": ("open_sink",),
    "vgslam.types": ("Frame", "Status", "PoseEstimate", "Trajectory", "Keyframe", "Edge", "WindowInput",
                     "WindowPrediction"),
    "vgslam.interfaces": ("FrameSource", "SourceKind", "PoseSink", "LoopVerifier", "Backbone", "Viewer"),
    "vgslam.plugins": ("Registry", "Registered"),
    "vgslam.geometry.camera": ("Camera",),
    "vgslam.geometry.sim3": ("Sim3",),
    "vgslam.sources.open": ("open_source",),
    "vgslam.sources.options": ("SourceOptions",),
    "vgslam.sources.live_open": ("open_live", "in_real_time"),
    "vgslam.sources.live": ("LiveOptions", "LiveSource"),
    "vgslam.sources.recording": ("Recording", "RawImage"),
    "vgslam.sources.trajectory_io": ("read_trajectory", "write_trajectory"),
    "vgslam.map.slam_map": ("SlamMap",),
    "vgslam.store.open": ("load_map",),
    "vgslam.store.map_folder": ("MapFolder",),
    "vgslam.evaluation.evaluate": ("evaluate", "EvaluationOptions"),
    "vgslam.results.report": ("RunReport",),
    "vgslam.errors": ("VgslamError", "InputError", "CalibrationError", "ConfigError", "OutputError", "TrackingError",
                      "WeightsError", "MissingDependencyError", "MapError", "PluginError"),
}  # fmt: skip


def reference() -> str:
    """The page. Raises KeyError for a name that a module does not define."""
    parts = [
        "# API reference\n\nMade from the docstrings by `python tools/api_reference.py`. Poses `T_a_b` take\n"
        "coordinates in b to a; OpenCV axes; pixel (0, 0) is the centre of the top-left pixel; lengths are map units.\n"
    ]
    for module, names in MODULES.items():
        path = ROOT / Path(*module.split("."))
        tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
        found = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        parts.append(f"\n## {module}\n\n{_quoted(ast.get_docstring(tree))}")
        for name in names:
            node = found[name]
            parts.append(_class(node) if isinstance(node, ast.ClassDef) else _function(node, "###"))
    return "".join(parts)


def _class(node: ast.ClassDef) -> str:
    bases = ", ".join(ast.unparse(b) for b in node.bases)
    text = f"\n### class `{node.name}{f'({bases})' if bases else ''}`\n\n{_quoted(ast.get_docstring(node))}"
    fields = [_field(f, after) for f, after in zip(node.body, [*node.body[1:], None]) if isinstance(f, ast.AnnAssign)]
    if any(fields):
        text += "\n" + "".join(fields)
    for n in node.body:
        if isinstance(n, ast.FunctionDef) and (not n.name.startswith("_") or n.name in ("__init__", "__iter__")):
            text += _function(n, "####")
    return text


def _field(field: ast.AnnAssign, after: ast.stmt | None) -> str:
    """One line of the list of fields, with the docstring beneath it if there is one; nothing for a private one."""
    if ast.unparse(field.target).startswith("_"):
        return ""
    is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    text = f": {' '.join(str(after.value.value).split())}" if is_text else ""
    return f"- `{ast.unparse(field)}`{text}\n"


def _function(node: ast.FunctionDef, level: str) -> str:
    is_property = any(ast.unparse(d) == "property" for d in node.decorator_list)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    title = f"{node.name}{returns}" if is_property else f"{node.name}({arguments}){returns}"
    return f"\n{level} `{title}`\n\n{_quoted(ast.get_docstring(node))}"


def _quoted(text: str | None) -> str:
    return f"{text.strip()}\n" if text else ""


if __name__ == "__main__":
    TARGET.write_text(reference())
    print(TARGET)
