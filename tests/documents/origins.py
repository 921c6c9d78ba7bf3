"""Figures of the guarded pages that no file of docs/bench backs: what they are, or where they come from."""

README, ADAPT, NETWORKS, PHONE = "README.md", "docs/adapt.md", "docs/networks.md", "docs/phone.md"
CARD_S, CARD_S2, CARD_M = (f"docs/model_cards/vggt-{name}.md" for name in ("s", "s2", "m"))

GUARDED = (README, ADAPT, NETWORKS, PHONE, "docs/first_steps.md", CARD_S, CARD_S2, CARD_M)
"""Pages on which every figure with a unit stands in figures.FIGURES, in a table that is made, or here."""

SETTING, TASK = "a setting or a limit of the code", "a description of the task, not a result"
FILES, BY_HAND = "sizes of files and images", "tried by hand while the code was written; no command repeats it"

OTHERWISE: dict[str, dict[str, str]] = {
    README: {
        "a wheel ({} MB) in the place of the dot": FILES,
        "of loops of which {} % were false": TASK,
        "each question some {} s": "of roles.json: what CPU a run takes more, less a second, over its questions",
        "more keyframes than two cores make at {} Hz": TASK,
    },
    ADAPT: {
        "the median of the direction in redkitchen gets worse by {} %": "the table of medians of bench/adapt_real.md",
        "was less accurate, {} m against {} m": "bench/adapt_latency_redkitchen.md",
        "each about {} % of the image's width": SETTING,
        "at up to {} px width": SETTING,
        "change by less than {} %": SETTING,
        "({} degrees and {} % of the translation; {} degrees and {} %": SETTING,
        "AbsRel falls by {} % and rotations by {} %": BY_HAND,
        "by {} % and {} % with 800 points": BY_HAND,
        "by {} % and {} % with 220 points": BY_HAND,
        "220 points give {} % and {} % after half": BY_HAND,
        "frames {} px wide), mean (median)": BY_HAND,
    },
    NETWORKS: {
        "each question about {} s with vggt-s": "as in the README",
        "| {} M | {} MB | Apache-2.0 | in the package |": FILES,
        "| {} M | {} GB | **non-commercial** |": FILES,
        "| {} M | {} MB | Apache-2.0 | Hugging Face |": FILES,
        "with **random weights** at 252x{} px": TASK,
    },
    "docs/first_steps.md": {
        "the true field of view is {} degrees": "vgslam/assets/demo/calib.json",
    },
    PHONE: {"and {} frames/s, and switch off automatic zoom": TASK},
    CARD_S: {
        "; {} MB in half precision": FILES,
        "images of about 64 x {} px": SETTING,
        "fields of view from 35 to {} degrees": SETTING,
        "(4 frames: {} against {} degrees)": "means of bench/weights.md",
        "- {} px: on a car": SETTING,
        "counts as 20 to {} % uncertain everywhere": SETTING,
        "lenses beyond {} degrees": TASK,
    },
    CARD_S2: {
        "; {} MB in 8 bits": FILES,
        "images of about 128 x {} px": SETTING,
        "have the better median ({} to {} degrees in the rendered windows)": "bench/weights_s2.md",
        "no more than {} %, either way": "the second table of bench/weights_s2.md",
        "| goal | {}, {} and {} frames": TASK,
        "rotation {} degrees": TASK,
        "direction {} degrees": TASK,
        "and {} degrees in the mean |": TASK,
        "redkitchen {}; rotations of KITTI {} and {} degrees, of redkitchen {}":
            "bench/weights_s2.md of the commit named",
        "direction in windows of 2 and 4 ({} degrees before": "the same",
        "in windows of 8 ({} degrees before)": "the same",
        "translation {} and {} of the landmarks' median depth, which is {} and {} off, rotation {} and {} degrees":
            "bench/starts.md",
        "{} % more CPU": "bench/roles.md",
        "{} m and {} degrees, {} % within {} m and {} degrees; consensus with the solver {} m, {} degrees, {} %":
            "the validation at the end of the training (training.md)",
        "late fusion {} m, {} degrees, {} %": "the same",
        "what vggt-s has with its adapter ({} m, {} %)": "model_cards/vggt-s-reloc.md, other windows",
        "weaker than the solver ({} to {} degrees in rendered windows)": "bench/weights_s2.md",
        "lenses beyond {} degrees": TASK,
    },
    CARD_M: {
        "a window takes {} times as long, and its {} MB": "the first table of the page",
        "; {} MB in half precision": FILES,
        "images of about 224 x {} px": SETTING,
        "have the better median ({} to {} degrees) and the far worse mean ({} to {})": "bench/weights_m.md",
        "Slow on a CPU: {} s a window": "the first table of the page",
        "weaker than that of vggt-s ({} degrees)": "bench/weights_m.md",
        "lenses beyond {} degrees": TASK,
    },
}
"""For each page: words that stand on it, with the figures in them, and their origin."""
