"""What is changed, and the tests that should notice."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUN_TESTS = ("tests/results", "tests/commands/test_exit_codes.py", "tests/session", "tests/commands/test_program.py",
             "tests/commands/test_evaluate.py",
             "tests/commands/test_bench.py", "tests/commands/test_run.py")  # fmt: skip

TARGETS: dict[str, tuple[str, ...]] = {
    "vgslam/geometry/camera.py": ("tests/geometry",),
    "vgslam/geometry/powers.py": ("tests/geometry",),
    "vgslam/geometry/robust_similarity.py": ("tests/geometry", "tests/multiview"),
    "vgslam/geometry/rotation_mean.py": ("tests/geometry",),
    "vgslam/geometry/se3.py": ("tests/geometry",),
    "vgslam/geometry/sim3.py": ("tests/geometry",),
    "vgslam/multiview/bundle.py": ("tests/multiview",),
    "vgslam/multiview/pnp.py": ("tests/multiview",),
    "vgslam/multiview/triangulate.py": ("tests/multiview",),
    "vgslam/multiview/two_view.py": ("tests/multiview",),
    "vgslam/graph/incremental.py": ("tests/graph",),
    "vgslam/graph/loop_consistency.py": ("tests/graph",),
    "vgslam/graph/map_graph.py": ("tests/graph",),
    "vgslam/graph/odometry_path.py": ("tests/graph",),
    "vgslam/graph/piece_ties.py": ("tests/graph",),
    "vgslam/graph/pose_graph.py": ("tests/graph",),
    "vgslam/graph/robust.py": ("tests/graph",),
    "vgslam/graph/sim3_batch.py": ("tests/graph",),
    "vgslam/graph/tie_tree.py": ("tests/graph",),
    "vgslam/reloc/epipolar_check.py": ("tests/reloc",),
    "vgslam/reloc/localization.py": ("tests/reloc",),
    "vgslam/reloc/loops.py": ("tests/reloc",),
    "vgslam/reloc/relocalizer.py": ("tests/reloc",),
    "vgslam/reloc/hypotheses.py": ("tests/reloc",),
    "vgslam/reloc/nearby.py": ("tests/reloc",),
    "vgslam/reloc/closing.py": ("tests/reloc",),
    "vgslam/reloc/learned.py": ("tests/reloc",),
    "vgslam/reloc/places.py": ("tests/reloc",),
    "vgslam/reloc/proposal.py": ("tests/reloc",),
    "vgslam/reloc/verifiers.py": ("tests/reloc",),
    "vgslam/adapt/adapter.py": ("tests/adapt",),
    "vgslam/adapt/safeguards.py": ("tests/adapt",),
    "vgslam/adapt/windows.py": ("tests/adapt",),
    "vgslam/evaluation/alignment.py": ("tests/evaluation",),
    "vgslam/evaluation/association.py": ("tests/evaluation",),
    "vgslam/evaluation/coverage.py": ("tests/evaluation",),
    "vgslam/evaluation/evaluate.py": ("tests/evaluation",),
    "vgslam/evaluation/relative.py": ("tests/evaluation",),
    "vgslam/evaluation/scores.py": ("tests/evaluation",),
    "vgslam/evaluation/conventions.py": ("tests/evaluation",),
    "vgslam/evaluation/clock.py": ("tests/evaluation/test_clock_by_hand.py",),
    "vgslam/evaluation/table.py": ("tests/evaluation/test_table.py",),
    "vgslam/frontend/exposure.py": ("tests/frontend/test_exposure.py",),
    "vgslam/frontend/black_bars.py": ("tests/frontend/test_black_bars.py",),
    "vgslam/refine/stills.py": ("tests/refine/test_stills.py",),
    "vgslam/refine/stills_model.py": ("tests/refine/test_stills_model.py",),
    "vgslam/refine/remeasure.py": ("tests/refine/test_remeasure.py",),
    "vgslam/refine/refine_checked.py": ("tests/refine/test_refine_checked.py",),
    "vgslam/refine/calibration.py": ("tests/refine/test_calibration_by_hand.py", "tests/refine/test_lens.py"),
    "vgslam/frontend/fitted_depth.py": ("tests/frontend/test_fitted_depth.py",),
    "vgslam/mapping.py": ("tests/test_mapping_by_hand.py",),
    "vgslam/sources/calibration/photogrammetry.py": (
        "tests/sources/test_photogrammetry_calibrations.py", "tests/sources/test_layouts_by_hand.py"),
    "vgslam/guards/arrays.py": ("tests/guards",),
    "vgslam/guards/documents.py": ("tests/guards",),
    "vgslam/guards/image_size.py": ("tests/guards",),
    "vgslam/guards/images.py": ("tests/guards",),
    "vgslam/guards/paths.py": ("tests/guards",),
    "vgslam/guards/wording.py": ("tests/guards",),
    "vgslam/guards/cut_jpeg.py": ("tests/guards",),
    "vgslam/cli.py": RUN_TESTS,
    "vgslam/commands/terminal.py": RUN_TESTS,
    "vgslam/errors.py": RUN_TESTS,
    "vgslam/results/report.py": RUN_TESTS,
    "vgslam/results/status.py": RUN_TESTS,
    "vgslam/session/outcome.py": RUN_TESTS,
    "vgslam/session/stop_signals.py": (*RUN_TESTS, "tests/commands/test_stopping.py"),
    "vgslam/session/track.py": (*RUN_TESTS, "tests/commands/test_stopping.py"),
}
"""Changed file -> tests. A file tests/ROOM/test_FILE.py comes first, as it notices most."""


def tests_of(module: str) -> list[str]:
    """The tests of a changed file, those named like it first."""
    path = Path(module)
    own = f"tests/{path.parent.name}/test_{path.stem}.py"
    others = [t for t in TARGETS[module] if (ROOT / t).exists() and t != own]
    return ([own] if (ROOT / own).is_file() else []) + others
