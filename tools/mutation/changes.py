"""The small wrong changes: cosmic-ray's operators, and numbers made wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import parso  # before cosmic_ray, which cannot import it in its own order
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

COSMIC_RAY = (
    "ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add", "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul", "ReplaceBinaryOperator_Pow_Mul", "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceComparisonOperator_Lt_Gt", "ReplaceComparisonOperator_LtE_Gt", "ReplaceComparisonOperator_Gt_Lt",
    "ReplaceComparisonOperator_GtE_Lt", "ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_Invert",
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "ZeroIterationForLoop",
)  # fmt: skip
"""Left out: < against <=, which is the same for all floats but one, and what does not even import (`|` in types)."""
NUMBERS, EXCEPTIONS = "WrongNumber", "ExceptionReplacer"
NEGLIGIBLE = 1e-5  # smaller numbers guard against a division by zero: ten times as much is the same
SMALL_INTEGER = 9


class WrongNumber(Operator):
    """Numbers ten times larger, and ten times smaller; small integers one larger, zero one."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "number":
            for _ in _wrong(node.value):
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        wrong = _wrong(node.value)[index]
        return parso.python.tree.Number(wrong, node.start_pos, node.prefix)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


def _wrong(text: str) -> list[str]:
    try:
        value = int(text, 0)
    except ValueError:
        value = float(text)
        return [] if 0 < abs(value) < NEGLIGIBLE else [repr(10 * value), repr(value / 10)] if value else ["1.0"]
    return [str(value + 1)] if value <= SMALL_INTEGER else [str(10 * value), str(value // 10)]


@dataclass(frozen=True)
class Change:
    """One wrong change of a file."""

    module: str
    """The file, relative to the repository."""
    operator: str
    occurrence: int
    line: int
    """Where it is, from 1."""

    def apply(self, source: str) -> str:
        """The source with the change made."""
        changed = mutate_code(source, _operator(self.operator), self.occurrence)
        assert changed is not None, self
        return str(changed)


def changes_of(module: str, source: str) -> list[Change]:
    """All changes of a file, in its order."""
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name in (NUMBERS, *COSMIC_RAY):
        operator = _operator(name)
        at = [position for node in nodes for position in operator.mutation_positions(node)]
        found += [Change(module, name, i, begin[0]) for i, (begin, _) in enumerate(at)]
    found = [c for c in found if c.operator != EXCEPTIONS or _can_be_made(c, source)]
    return sorted(found, key=lambda c: (c.line, c.operator, c.occurrence))


def _can_be_made(change: Change, source: str) -> bool:
    """False for an exception with a dot in its name, which cosmic-ray does not replace but trips over."""
    try:
        change.apply(source)
    except AttributeError:
        return False
    return True


def _operator(name: str) -> Operator:
    return WrongNumber() if name == NUMBERS else get_operator(f"core/{name}")()
