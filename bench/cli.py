"""The measurements: finds the one that is asked for, parses its arguments, turns errors into one line."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import tyro

from bench.accuracy import BenchAccuracyArgs, run_bench_accuracy
from bench.adapt import BenchAdaptArgs, run_bench_adapt
from bench.adapt_runs import BenchAdaptRunsArgs, run_bench_adapt_runs
from bench.adapt_starts import BenchAdaptStartsArgs, run_bench_adapt_starts
from bench.backend import BenchBackendArgs, run_bench_backend
from bench.city_drive import BenchCityArgs, run_bench_city
from bench.colmap import BenchColmapArgs, run_bench_colmap
from bench.dense_depth import BenchDenseDepthArgs, run_bench_dense_depth
from bench.first_steps import BenchFirstStepsArgs, run_bench_first_steps
from bench.fleet import BenchFleetArgs, run_bench_fleet
from bench.live import BenchLiveArgs, run_bench_live
from bench.live_kills import BenchLiveKillsArgs, run_bench_live_kills
from bench.model import BenchModelArgs, run_bench_model
from bench.pictures import BenchPicturesArgs, run_bench_pictures
from bench.places import BenchPlacesArgs, run_bench_places
from bench.refine import BenchRefineArgs, run_bench_refine
from bench.reloc_cost import BenchRelocCostArgs, run_bench_reloc_cost
from bench.relocalization import BenchRelocalizationArgs, run_bench_relocalization
from bench.relocalization_hard import BenchRelocalizationHardArgs, run_bench_relocalization_hard
from bench.roles import BenchRolesArgs, run_bench_roles
from bench.starts import BenchStartsArgs, run_bench_starts
from bench.survival import BenchSurvivalArgs, run_bench_survival
from bench.variants import BenchVariantsArgs, run_bench_variants
from bench.weights import BenchWeightsArgs, run_bench_weights
from bench.worlds import BenchWorldsArgs, run_bench_worlds
from vgslam.errors import ConfigError, VgslamError

MEASUREMENTS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "accuracy": (BenchAccuracyArgs, run_bench_accuracy),
    "adapt": (BenchAdaptArgs, run_bench_adapt),
    "adapt-runs": (BenchAdaptRunsArgs, run_bench_adapt_runs),
    "adapt-starts": (BenchAdaptStartsArgs, run_bench_adapt_starts),
    "backend": (BenchBackendArgs, run_bench_backend),
    "city": (BenchCityArgs, run_bench_city),
    "dense-depth": (BenchDenseDepthArgs, run_bench_dense_depth),
    "first-steps": (BenchFirstStepsArgs, run_bench_first_steps),
    "fleet": (BenchFleetArgs, run_bench_fleet),
    "live": (BenchLiveArgs, run_bench_live),
    "live-kills": (BenchLiveKillsArgs, run_bench_live_kills),
    "model": (BenchModelArgs, run_bench_model),
    "pycolmap": (BenchColmapArgs, run_bench_colmap),
    "pictures": (BenchPicturesArgs, run_bench_pictures),
    "places": (BenchPlacesArgs, run_bench_places),
    "refine": (BenchRefineArgs, run_bench_refine),
    "reloc-cost": (BenchRelocCostArgs, run_bench_reloc_cost),
    "relocalization": (BenchRelocalizationArgs, run_bench_relocalization),
    "relocalization-hard": (BenchRelocalizationHardArgs, run_bench_relocalization_hard),
    "roles": (BenchRolesArgs, run_bench_roles),
    "starts": (BenchStartsArgs, run_bench_starts),
    "survival": (BenchSurvivalArgs, run_bench_survival),
    "variants": (BenchVariantsArgs, run_bench_variants),
    "weights": (BenchWeightsArgs, run_bench_weights),
    "worlds": (BenchWorldsArgs, run_bench_worlds),
}
"""Arguments and function of each measurement, by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one measurement; returns its exit code. A VgslamError becomes one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    cv2.setNumThreads(1)
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    try:
        if words[0] not in MEASUREMENTS:
            raise ConfigError(f"no measurement '{words[0]}'; there are {', '.join(MEASUREMENTS)}")
        arguments, run = MEASUREMENTS[words[0]]
        return run(tyro.cli(arguments, args=words[1:], prog=f"python -m bench {words[0]}"))
    except VgslamError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


def overview() -> str:
    """A line for every measurement."""
    lines = [f"  {name:<15} {(cls.__doc__ or '').strip().splitlines()[0]}" for name, (cls, _) in MEASUREMENTS.items()]
    return "\n".join(["usage: python -m bench NAME ... (NAME --help says more)", "", *lines])
