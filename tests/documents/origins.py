"""Figures of the guarded pages that no file of docs/bench backs: what they are, or where they come from."""

README, ADAPT, NETWORKS, PHONE = "README.md", "docs/adapt.md", "docs/networks.md", "docs/phone.md"
CARD_S, CARD_M = "docs/model_cards/vggt-s.md", "docs/model_cards/vggt-m.md"

GUARDED = (README, ADAPT, NETWORKS, PHONE, "docs/first_steps.md", CARD_S, CARD_M)
"""Pages on which every figure with a unit stands in figures.FIGURES, in a table that is made, or here."""

OPTION, DEFINITION, TRIAL = "what an option or a setting is", "what a word means", "a single trial, told as one"

OTHERWISE: dict[str, dict[str, str]] = {}
"""For each page: words that stand on it, with the figures in them, and their origin."""
