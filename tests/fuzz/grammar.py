"""Values and texts that no program writes, made by rules."""

import json

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 640, 480, 500.0, 0.5, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 2**31, 2**63, 10**400]
    ),
    st.integers(),
    st.floats(),
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\x1b[2J",
            "\x00",
            "../../canary",
            "/etc/hostname",
            "<b>",
            "nan",
            "1e999",
            "pinhole",
            "a" * 5000,
            "\u202e",
            "[/red]",
            "x\ny",
            "640",
            "[1, 2, 3, 4]",
            "None",
        ]
    ),
    st.text(max_size=20),
)
SCALARS = st.one_of(NUMBERS, TEXTS, st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=4), st.lists(NUMBERS, max_size=16)
    ),
    max_leaves=12,
)


def documents(names: list[str]) -> SearchStrategy[dict[str, object]]:
    """Mappings from some of the names to any values, and to a few names of no meaning."""
    return st.dictionaries(st.one_of(st.sampled_from(names), st.sampled_from(names), TEXTS), VALUES, max_size=12)


def as_json(value: object) -> bytes:
    """JSON, with the numbers that Python alone writes."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


ROWS = st.lists(
    st.lists(st.one_of(NUMBERS.map(str), TEXTS, st.floats(-10, 10).map(lambda x: f"{x:.6g}")), max_size=14).map(
        " ".join
    ),
    max_size=12,
).map(lambda rows: "\n".join(rows).encode("utf-8", "surrogatepass"))
"""Lines of words, most of them numbers."""


def bomb(levels: int = 12, width: int = 9) -> bytes:
    """YAML whose references stand for width ** levels values."""
    rows = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    rows += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * width) + "]" for i in range(1, levels)]
    return "\n".join(rows).encode()


NESTED = st.sampled_from(
    [
        bomb(),
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"- " * 10_000,
        b"a: {b: [" * 3000,
        b"&a [*a]",
        b"? " * 20_000,
        b"a: " + b"1" * 6000,
        b"a: 1" + b":1" * 20_000,
        b"<<: [&x {<<: *x}]",
        b"[" * 60 + b"]" * 60,
    ]
)
"""Documents that are small as files and large when read."""
