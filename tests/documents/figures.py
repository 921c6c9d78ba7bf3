"""Every figure of the documents that a measurement backs: where it stands, and what the measurement says.

A sentence is quoted as it stands, `{}` in place of each figure; line breaks do not matter. When a measurement is made
again, or a sentence is written anew, the test names the line to mend, here or there. The README's two tables are made
by tools/readme_table.py and not listed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from documents import measured as m

README, FIRST, PHONE = "README.md", "docs/first_steps.md", "docs/phone.md"
ADAPT, NETWORKS = "docs/adapt.md", "docs/networks.md"
CARD_S, CARD_S2, CARD_M = (f"docs/model_cards/vggt-{name}.md" for name in ("s", "s2", "m"))


@dataclass(frozen=True)
class Figures:
    """A sentence or a row of a table, and its figures."""

    page: str
    quoted: str
    measured: Callable[[], Iterable[float]]


def _demo(*names: str) -> Callable[[], list[float]]:
    return lambda: [m.record("first_steps")["demo"][name] for name in names]


def _card(name: str) -> Callable[[], list[float]]:
    def values() -> list[float]:
        solver, head = m.rotation("weights", name)[0], m.rotation("weights", name, "head")[0]
        others = [m.rotation("weights", name, other)[0] for other in ("identity", "classical")]
        return [solver, head, *others]

    return values


def _successor(name: str) -> Callable[[], list[float]]:
    records = ("weights_s2", "weights")
    return lambda: [*(v for r in records for v in m.rotation(r, name)), *(m.depth(r, name) for r in records)]


UNSEEN = tuple(f"procedural, {n} frames" for n in (2, 4, 8))


def _reached(figure: Callable[[str, str], float], *names: str) -> Callable[[], list[float]]:
    """A figure of vggt-s2 in several sets of windows."""
    return lambda: [figure("weights_s2", name) for name in names]


NETWORKS_MEASURED = ("vggt (vggt-s2)", "vggt (vggt-s)", "none")


def _with_each(with_more: bool) -> list[float]:
    """Coverage and median, mean and worst ATE, each with vggt-s2, vggt-s and none."""
    ate = [m.survival_ate(network, with_more) for network in NETWORKS_MEASURED]
    coverage = [m.survival_coverage(network, with_more) for network in NETWORKS_MEASURED]
    return [*coverage, *(a[1] for a in ate), *(a[0] for a in ate), *(a[2] for a in ate)]


def _both(name: str) -> Callable[[], list[float]]:
    return lambda: [*m.rotation("weights_m", name), *m.rotation("weights", name)]


def _step(name: str) -> tuple[float, float]:
    """Seconds of the clock and of CPU."""
    step = next(s for s in m.record("first_steps")["steps"] if s["name"] == name)
    return step["wall_s"], step["cpu_s"]


def _same() -> tuple[int, int]:
    return len(m.pairs()), m.pairs_the_same()


def _survived(figure: str) -> Callable[[], list[float]]:
    return lambda: [m.survival("vggt (vggt-s)", figure), m.survival("none", figure)]


FIGURES = [
    # README
    Figures(README, "median of the starts: KITTI {} m, redkitchen {} m, EuRoC's images a second apart {} m", lambda: [
        next(m.over_starts("uncalibrated", name))
        for name in ("kitti00_f000-199", "7scenes_redkitchen_seq01", "euroc_V101_kf100")]),
    Figures(README, "two recordings of known focal length it was {} to {} % off", m.fov_errors),
    Figures(PHONE, "of two recordings of known focal length it was {} to {} % off", m.fov_errors),
    Figures(README, "ATE {} % of {} km, {} loops closed, none of them false", lambda: (
        m.record("city")["ate_percent"], m.record("city")["path_m"] / 1000, m.record("city")["loops"])),
    Figures(README, "{} ms of CPU a frame at the start and {} ms where streets return; {} MiB", lambda: (
        m.record("city")["start_ms"], m.record("city")["end_ms"], m.record("city")["peak_mib"])),
    Figures(README, "{} % of 40 unseen views of a mapped room within {} cm and {} degrees, "
            "{} % within {} m and {} degrees",
            lambda: (m.relocalized(0.05, 5), 5, 5, m.relocalized(0.25, 10), 0.25, 10)),
    Figures(README, "{} of {} kidnapped cameras found in the first usable image, "
            "none of {} frames after that badly off; none of {} images of other places accepted", lambda: (
        m.kidnaps()["at once"], m.kidnaps()["trials"], m.kidnaps()["frames"], m.foreign_images()[0])),
    Figures(README, "{} keyframes at {} ms each between loops, {} ms with them", lambda: (
        m.record("backend_100k")["costs"]["n_keyframes"], m.record("backend_100k")["costs"]["last_ms"],
        m.record("backend_100k")["costs"]["mean_ms"])),
    Figures(README, "`make demo`: {} of {} frames, ATE {} m on a path of {} m",
            _demo("poses", "frames", "ate_m", "path_m")),
    Figures(README, "Peak memory of ORB-SLAM3 is {} to {} MB", lambda: m.record("orbslam3")["peak_mb"]),
    Figures(README, "Of {} pairs of recorded runs {} are the same to the last bit", _same),
    Figures(README, "In {} rendered sequences with fast motion", lambda: [m.survival_sequences()]),
    Figures(README, "coverage is {} instead of {} in the mean", _survived("coverage")),
    Figures(README, "ATE {} instead of {} % of the path", _survived("ate_percent")),
    Figures(README, "torch takes about a second of CPU and {} MiB", lambda: [m.more_memory_mib()]),
    Figures(README, "{} to {} % more CPU on 58 stills", m.more_cpu),
    Figures(README, "and a question takes {} times the CPU)", lambda: [
        m.question_s("vggt-s2") / m.question_s("vggt-s")]),
    Figures(README, "improve by {} to {} % on the second half of two recordings", lambda: (
        -max(m.recording_changes("lora")), -min(m.recording_changes("lora")))),
    Figures(README, "with `--trainable all` by {} to {} % in worlds unlike those of training", lambda: (
        -m.worlds_change("translation"), -m.worlds_change("depth_absrel"))),
    Figures(README, "clouds and meshes have {} % of the pixels of redkitchen's keyframes, {} % off in the median and "
            "{} % in the mean; without a network they have {} %, {} % and {} % off", lambda: [
        100 * row[name] for row in (m.record("dense_depth")["rows"][i] for i in (1, 0))
        for name in ("sure", "sure_median_error", "sure_mean_error")]),
    Figures(NETWORKS, "{} instead of {} % of the pixels of keyframes, for {} s of CPU on 1,000 frames", lambda: (
        100 * m.record("dense_depth")["rows"][1]["sure"], 100 * m.record("dense_depth")["rows"][0]["sure"],
        m.record("dense_depth")["rows"][1]["network_cpu_s"])),
    # First steps
    Figures(FIRST, "| `git clone` | {} | {} |", lambda: _step("clone")),
    Figures(FIRST, "what runs and scores need; {} MiB on the disk | {} | {} |", lambda: (
        m.record("first_steps")["venv_mib"], *_step("install"))),
    Figures(FIRST, "| the demo | {} | {} |", lambda: _step("demo")),
    Figures(FIRST, "All {} frames have a pose, ATE {} m on a path of {} m; the run takes {} MiB of memory",
            _demo("poses", "ate_m", "path_m", "peak_mib")),
    # Adaptation
    Figures(ADAPT, "camera mounted on its side), 300 steps | {} % | {} % | {} % | {} % |", lambda: [
        m.worlds_change(f) for f in ("depth_absrel", "rotation_deg", "direction_deg", "translation")]),
    Figures(ADAPT, "trained on, afterwards | {} % | {} % |", lambda: [
        m.worlds_change(f, "home_") for f in ("depth_absrel", "rotation_deg")]),
    *[Figures(ADAPT, f"| {shown} | KITTI 00, second half, after learning from the first | | {{}} % | {{}} % | |",
              lambda trained=trained: [
                  m.recording_change("kitti00", trained, f) for f in ("rotation_deg", "direction_deg")])
      for shown, trained in (("`lora`, the default", "lora"), ("`all`", "all"))],
    *[Figures(ADAPT, f"{after} | | 7-Scenes redkitchen, likewise | {{}} % | {{}} % | {{}} % | {{}} % |",
              lambda trained=trained: [m.recording_change("redkitchen", trained, f) for f in (
                  "depth_absrel", "rotation_deg", "direction_deg", "translation")])
      for after, trained in (("-18 % | |", "lora"), ("-28 % | |", "all"))],
    Figures(ADAPT, "the tracks agreed with {} starts instead of {} of {} (136", lambda: [
        m.starts_believed("after"), m.starts_believed("before"), m.starts_asked()]),
    Figures(ADAPT, "position was {} to {} % nearer to the truth, the landmarks' depth {} to {} %", lambda: [
        *m.starts_nearer("translation"), *m.starts_nearer("depth")]),
    Figures(README, "starts that geometry does not find are {} to {} % nearer to the truth", lambda:
            m.starts_nearer("translation")),
    # Networks
    Figures(NETWORKS, "Of the recorded runs with and without it {} of {} are the same", _same),
    Figures(NETWORKS, "torch takes a second of CPU and {} MiB", lambda: [m.more_memory_mib()]),
    Figures(NETWORKS, "{} to {} % more CPU on 58 stills, the hardest case", m.more_cpu),
    Figures(NETWORKS, "the mean coverage is {} instead of {} ({} sequences", lambda: (
        *_survived("coverage")(), m.survival_sequences())),
    Figures(NETWORKS, "the mean ATE {} instead of {} %", _survived("ate_percent")),
    *[Figures(NETWORKS, f"| {name} | {n} | {{}} | {{}} | {{}} | {{}} | {{}} |",
              lambda name=name, n=n: m.profile(name.replace("-", "_"), n))
      for name in ("da3-small", "da3-base") for n in (1, 2, 4, 8)],
    # Model cards
    Figures(CARD_S, "| parameters | {};", lambda: [m.record("weights")["n_parameters"]]),
    Figures(CARD_S, "| time | {} ms for a window of 4", lambda: [m.record("weights")["ms_per_window_of_4"]]),
    *[Figures(CARD_S, f"| {shown} | {{}} ({{}}) | {{}} | {{}} |", _card(name)) for shown, name in (
        ("unseen worlds, 2 frames", "procedural, 2 frames"), ("unseen worlds, 4 frames", "procedural, 4 frames"),
        ("unseen worlds, 8 frames", "procedural, 8 frames"),
        ("7-Scenes redkitchen, every 5th frame", "redkitchen, stride 5"),
        ("KITTI 00, every frame", "kitti00, stride 1"), ("KITTI 00, every 2nd frame", "kitti00, stride 2"))],
    Figures(CARD_S2, "| parameters | {};", lambda: [m.record("weights_s2")["n_parameters"]]),
    Figures(CARD_S2, "| time | {} s of CPU for a question (two images; vggt-s: {} s)", lambda: [
        m.question_s("vggt-s2"), m.question_s("vggt-s")]),
    *[Figures(CARD_S2, f"| {shown} | {{}} ({{}}) | {{}} ({{}}) | {{}} | {{}} |", _successor(name)) for shown, name in (
        ("unseen worlds, 2 frames", "procedural, 2 frames"), ("unseen worlds, 4 frames", "procedural, 4 frames"),
        ("unseen worlds, 8 frames", "procedural, 8 frames"),
        ("7-Scenes redkitchen, every 5th frame", "redkitchen, stride 5"))],
    *[Figures(CARD_S2, f"| {shown} | {{}} ({{}}) | {{}} ({{}}) | - | - |", lambda name=name: [
        *m.rotation("weights_s2", name), *m.rotation("weights", name)]) for shown, name in (
            ("KITTI 00, every frame", "kitti00, stride 1"), ("KITTI 00, every 2nd frame", "kitti00, stride 2"))],
    Figures(CARD_S2, "unseen worlds: rotation 1.2 degrees | {}, {}, {} |", lambda: [
        m.rotation("weights_s2", name)[0] for name in UNSEEN]),
    Figures(CARD_S2, "and 3 degrees in the mean | {}, {}, {} |", lambda: [
        m.rotation("weights_s2", name)[1] for name in UNSEEN]),
    Figures(CARD_S2, "direction 20 degrees | {}, {}, {} (not forward: {}, {}, {})", lambda: [
        *_reached(m.any_direction, *UNSEEN)(), *_reached(m.direction, *UNSEEN)()]),
    Figures(CARD_S2, "AbsRel 0.15 | {}, {}, {} |", _reached(m.depth, *UNSEEN)),
    Figures(CARD_S2, "depth's deviation 0.1 | {}, {}, {}; redkitchen {}; cabinet {} |",
            _reached(m.calibration, *UNSEEN, "redkitchen, stride 5", "cabinet, stride 1")),
    Figures(CARD_S2, "every 5th frame: rotation 0.8 degrees | {} |", lambda: [
        m.rotation("weights_s2", "redkitchen, stride 5")[0]]),
    Figures(CARD_S2, "every 5th frame: AbsRel 0.17 | {} |", _reached(m.depth, "redkitchen, stride 5")),
    Figures(CARD_S2, "starts that tracks agreed with: {} of {} with vggt-s2, {} with vggt-s", lambda: [
        m.believed("vggt-s2"), m.asked_starts("vggt-s2"), m.believed("vggt-s")]),
    Figures(CARD_S2, "mean coverage {} (vggt-s {}, without a network {}), ATE in the median {} ({}, {}), "
            "mean {} ({}, {}) and worst {} ({}, {}) % of the path", lambda: _with_each(with_more=False)),
    Figures(CARD_S2, "coverage {} ({}, {}), median {} ({}, {}), mean {} ({}, {}), worst {} ({}, {}) %.",
            lambda: _with_each(with_more=True)),
    Figures(CARD_M, "| parameters | {};", lambda: [m.record("weights_m")["n_parameters"]]),
    Figures(CARD_M, "| time | {} s for a window of 4 on one core of an Intel Xeon, network and solver (vggt-s: {} s) |",
            lambda: [m.record(w)["ms_per_window_of_4"] / 1000 for w in ("weights_m", "weights")]),
    *[Figures(CARD_M, f"| {shown} | {{}} ({{}}) | {{}} ({{}}) |", _both(name)) for shown, name in (
        ("unseen worlds, 2 frames", "procedural, 2 frames"), ("unseen worlds, 4 frames", "procedural, 4 frames"),
        ("unseen worlds, 8 frames", "procedural, 8 frames"),
        ("7-Scenes redkitchen, every 5th frame", "redkitchen, stride 5"),
        ("KITTI 00, every frame", "kitti00, stride 1"), ("KITTI 00, every 2nd frame", "kitti00, stride 2"))],
]  # fmt: skip
