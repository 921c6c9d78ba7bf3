"""Changes to valid bytes and to sets of files, each made by a random generator of its own number."""

import random
from collections.abc import Callable, Sequence

from fuzz.parser import Files
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NUMBERS = (
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"-inf",
    b"1e-320",
    b"99999999999999999999",
    b"2147483648",
    b"9" * 400,
    b"0x7f",
    b"1_0",
    b"1:2:3",
    b"\xd9\xa3",
)
WORDS = (
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\x00",
    b"\x1b[31m\x1b]0;x\x07",
    b"../../canary",
    b"/etc/hostname",
    b"\xff\xfe",
    b"<script>alert(1)</script>",
    b"&a [*a, *a]",
    b"\r\n",
    b"\xe2\x80\xae",
    b"-",
    b",",
    b"#",
    b"'",
    b'"',
    b"%s",
    b"x" * 300,
    b"[" * 200,
    b'{"a":' * 200,
    b"!!python/object/apply:os.system ['true']",
)
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
SEEDS = st.integers(0, 2**62)


def mutated_bytes(data: bytes, rng: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """One to five changes: digits, bits, numbers of 1 to 8 bytes, cuts, repeats, words."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 5))):
        rng.choice(_CHANGES)(changed, rng, tokens)
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _digit(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """Another digit, sign or point in place of one: what is most likely still understood."""
    places = [i for i, c in enumerate(data[:20_000]) if c in b"0123456789.-"]
    if places:
        data[rng.choice(places)] = rng.choice(b"0123456789.-e")


def _number(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """A whole number at the edge of its range, in either order of bytes."""
    n = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(data) - n + 1))
    value = rng.choice(EDGES) % 256**n
    data[at : at + n] = value.to_bytes(n, rng.choice(("little", "big")))


def _cut(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    if rng.random() < 0.4:
        del data[at:]
    else:
        del data[at : at + rng.choice((1, 2, 4, 16, 100))]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    part = data[at : at + rng.choice((1, 4, 16, 64, 300))]
    data[at:at] = part * rng.choice((1, 2, 30))


def _word(data: bytearray, rng: random.Random, tokens: Sequence[bytes]) -> None:
    word = rng.choice((*tokens, *NUMBERS, *WORDS))
    places = [i for i, c in enumerate(data[:4000]) if c in b" ,:=[]{}\n\"'"]
    at = rng.choice(places) + 1 if places and rng.random() < 0.7 else rng.randrange(len(data) + 1)
    end = at + rng.choice((0, 0, 1, len(word), 8))
    if rng.random() < 0.4:  # the whole word that begins there
        end = next((i for i in range(at, len(data)) if data[i] in b" ,:=[]{}\n\"'"), len(data))
    data[at:end] = word


_CHANGES: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    _digit,
    _digit,
    _digit,
    _flip,
    _number,
    _cut,
    _repeat,
    _word,
    _word,
)


def mutated_files(
    samples: Callable[[], Sequence[Files]], tokens: Sequence[bytes] = (), suffixes: Sequence[str] = ()
) -> SearchStrategy[Files]:
    """One of the samples with one to three changes: to a file's content, to its name or place, to the set of files.
    suffixes: only such files' contents are changed."""
    made: list[Sequence[Files]] = []

    def change(seed: int) -> Files:
        if not made:
            made.append(samples())
        rng = random.Random(seed)
        files = dict(rng.choice(made[0]))
        for _ in range(rng.choice((1, 1, 1, 2))):
            _change_one(files, rng, tokens, suffixes)
        return files

    return SEEDS.map(change)


def _change_one(files: Files, rng: random.Random, tokens: Sequence[bytes], suffixes: Sequence[str]) -> None:
    names = [name for name in files if not suffixes or name.endswith(tuple(suffixes))]
    if not names:
        return
    name, what = rng.choice(names), rng.random()
    if what < 0.85 or len(files) == 1:
        files[name] = mutated_bytes(files[name], rng, tokens)
    elif what < 0.9:
        del files[name]
    elif what < 0.95:
        files[rng.choice(names)] = files[name]
    else:
        files[name + "@"] = rng.choice(
            (b"../../canary", b"..", b"/dev/null", b"nowhere", name.rsplit("/", 1)[-1].encode())
        )
        files.pop(name, None)


def mostly(usual: SearchStrategy[Files], *others: SearchStrategy[Files]) -> SearchStrategy[Files]:
    """The usual inputs three times in four."""
    return st.integers(0, 3).flatmap(lambda n: usual if n else st.one_of(*others))
