"""Makes small wrong changes to the code, and says which of them no test notices.

python tools/mutation [--sample 150] [--seed 1] [--jobs 2] [--only vgslam/graph ...] [--out out/mutation]
python tools/mutation --again out/mutation/survivors.json --out out/mutation-again

The second tries those that were not noticed once more, after tests were written for them; a run that was cut off goes
on with --skip. Writes survivors.json and mutation.md into --out; exit code 1 if less than 90 % are noticed.
"""

import argparse
import difflib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from changes import NUMBERS, Change, changes_of
from targets import ROOT, TARGETS
from trials import Copies, Trial, preload, run_trials, unchanged_s

LEAST_NOTICED = 0.9


def main() -> int:
    """Runs the sample, writes, prints; returns the exit code."""
    options = _options()
    modules = [m for m in TARGETS if not options.only or any(m.startswith(o) for o in options.only)]
    possible = {m: changes_of(m, (ROOT / m).read_text()) for m in modules}
    changes = sample(possible, options.sample, options.seed)[options.skip :]
    if options.again is not None:
        known = {(c["module"], c["operator"], c["occurrence"]) for c in json.loads(options.again.read_text())}
        changes = [c for cs in possible.values() for c in cs if (c.module, c.operator, c.occurrence) in known]
    n_all = sum(map(len, possible.values()))
    print(f"{len(changes)} of {n_all} changes of {len(modules)} files, seed {options.seed}", flush=True)
    if options.list:
        for change in changes:
            print(f"{change.module}:{change.line} {change.operator} {change.occurrence}\n{diff(change)}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    preload()
    trials: list[Trial] = []

    def heard(trial: Trial) -> None:
        trials.append(trial)
        c = trial.change
        where = f"{c.module}:{c.line} {c.operator} {trial.took_s:.0f} s"
        print(f"{len(trials)}/{len(changes)} {trial.why} {where}", flush=True)
        if not trial.is_noticed:
            print(diff(c), flush=True)
        write(options.out, trials, n_all, options.seed)

    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), options.jobs)
        used = list(dict.fromkeys(c.module for c in changes))
        usual_s = unchanged_s(copies, used, Path(folder), lambda line: print(line, flush=True))
        run_trials(changes, copies, usual_s, Path(folder), heard)
    n = sum(t.is_noticed for t in trials)
    print(f"noticed: {n} of {len(trials)} ({100 * n / max(len(trials), 1):.0f} %); written: {options.out}")
    return 0 if n >= LEAST_NOTICED * len(trials) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tools/mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=150, help="changes tried; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--skip", type=int, default=0, help="changes of the sample that were tried already")
    parser.add_argument("--again", type=Path, help="survivors.json of an earlier run of the same code")
    parser.add_argument("--only", nargs="*", default=[], help="files or folders to change")
    parser.add_argument("--out", type=Path, default=Path("out/mutation"), help="folder for the results")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    return parser.parse_args()


def sample(possible: dict[str, list[Change]], n: int, seed: int) -> list[Change]:
    """n of all changes, in the order of the files; wrong numbers, of which code holds most and which tests notice most
    easily, make up a third of them."""
    every = [c for changes in possible.values() for c in changes]
    if n <= 0 or n >= len(every):
        return every
    draw = random.Random(seed)
    numbers = [i for i, c in enumerate(every) if c.operator == NUMBERS]
    others = [i for i, c in enumerate(every) if c.operator != NUMBERS]
    n_numbers = min(len(numbers), max(n // 3, n - len(others)))
    chosen = draw.sample(numbers, n_numbers) + draw.sample(others, n - n_numbers)
    return [every[i] for i in sorted(chosen)]


def diff(change: Change) -> str:
    """The changed lines, before and after."""
    source = (ROOT / change.module).read_text()
    lines = difflib.unified_diff(source.splitlines(), change.apply(source).splitlines(), n=0, lineterm="")
    return "\n".join(f"    {x}" for x in list(lines)[2:] if not x.startswith("@@"))


def write(out: Path, trials: list[Trial], n_all: int, seed: int) -> None:
    """survivors.json and mutation.md."""
    survivors = [{**asdict(t.change), "diff": diff(t.change)} for t in trials if not t.is_noticed]
    (out / "survivors.json").write_text(json.dumps(survivors, indent=1) + "\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    rows: dict[str, Counter[str]] = {}
    for t in trials:
        rows.setdefault(str(Path(t.change.module).parent), Counter())[t.why] += 1
    n = sum(t.is_noticed for t in trials)
    head = f"{len(trials)} of {n_all} changes (seed {seed}), commit {commit.stdout.strip() or 'unknown'}: {n} noticed."
    table = ["| room | tried | noticed | not noticed |", "|---|---|---|---|"]
    table += [f"| `{room}` | {sum(c.values())} | {sum(c.values()) - c['survived']} | {c['survived']} |"
              for room, c in sorted(rows.items())]  # fmt: skip
    listed = [f"- `{s['module']}:{s['line']}`\n\n```diff\n{s['diff']}\n```\n" for s in survivors]
    (out / "mutation.md").write_text("\n".join([head, "", *table, "", *listed]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
