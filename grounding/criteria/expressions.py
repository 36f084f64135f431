"""A small language for criteria: parsed, never executed. The result is True, False or None (Kleene's unknown).

A criterion is an arithmetic comparison over measured quantities, e.g. ``pr > 200``,
``abs(V1.s_mv) + max(V5.r_mv, V6.r_mv) >= 3.5`` or ``V1.qrs_form in ["rSR'", "RSR'"]``; comparisons are joined by
``and``, ``or``, ``not``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ..errors import EcgError

Value = float | int | str | bool | None
Values = Mapping[tuple[str | None, Hashable], Value]  # (lead or None, quantity or limit) -> value
Criterion = Callable[[Values], Any]

_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "max": max, "min": min}


class CriterionError(EcgError):
    """A knowledge-base entry that can't be read."""


def kleene_all(parts: Iterable[bool | None]) -> bool | None:
    """True if all parts are True, False if one is False, else None.

    Args:
        parts: truth values, None where unknown.

    Example:
        >>> kleene_all([True, None]), kleene_all([False, None]), kleene_all([True, True])
        (None, False, True)
    """
    values = list(parts)
    return False if False in values else None if None in values else True


def kleene_any(parts: Iterable[bool | None]) -> bool | None:
    """True if one part is True, False if all are False, else None.

    Args:
        parts: truth values, None where unknown.
    """
    values = list(parts)
    return True if True in values else None if None in values else False


def kleene_not(value: bool | None) -> bool | None:
    """The opposite; None stays None.

    Args:
        value: truth value, None where unknown.
    """
    return None if value is None else not value


@lru_cache(maxsize=4096)
def parse(text: str) -> ast.expr:
    """The syntax tree of a criterion.

    Args:
        text: the criterion.

    Raises:
        CriterionError: the text is not in this language.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise CriterionError(f"can't read the criterion {text!r}: {error.msg}", remedy="see docs/findings.md") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS):
            raise CriterionError(f"unknown function in {text!r}", remedy=f"use {', '.join(_FUNCTIONS)}")
        if not isinstance(node, _ALLOWED):
            raise CriterionError(f"{type(node).__name__} has no place in the criterion {text!r}")
    return tree


_ALLOWED = (
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.BinOp,
    *_ARITHMETIC,
    ast.Compare,
    *_COMPARE,
    ast.Name,
    ast.Attribute,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Load,
    ast.Call,
)


@lru_cache(maxsize=4096)
def names(text: str) -> tuple[tuple[str | None, str], ...]:
    """The names that a criterion reads.

    Args:
        text: the criterion.

    Returns:
        (lead or None, quantity) of each, in order and without repetition.
    """
    tree = parse(text)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found: dict[tuple[str | None, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found[(node.value.id, node.attr)] = None
        elif isinstance(node, ast.Name) and id(node) not in functions | owners:
            found[(None, node.id)] = None
    return tuple(found)


@lru_cache(maxsize=4096)
def leaves(text: str) -> tuple[tuple[str | None, str], ...]:
    """The names that a criterion reads, in the order of the text, with repetition.

    Args:
        text: the criterion.

    Returns:
        (lead or None, quantity) of each.
    """

    def below(node: ast.AST) -> Iterator[tuple[str | None, str]]:
        match node:
            case ast.Attribute(value=ast.Name(id=lead), attr=name):
                yield lead, name
            case ast.Name(id=name):
                yield None, name
            case ast.Call(args=arguments):
                for argument in arguments:
                    yield from below(argument)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from below(child)

    return tuple(below(parse(text)))


def evaluate(text: str, read: Callable[[str | None, str], Value]) -> bool | None:
    """Whether a criterion holds.

    Args:
        text: the criterion.
        read: returns the value of a quantity in a lead (lead ``None``: of the record), ``None`` where not measurable.

    Returns:
        True, False, or None where a decisive value is missing.
    """
    value = compiled(text, {})({key: read(*key) for key in names(text)})
    return None if value is None else bool(value)


def compiled(text: str, limits: Mapping[str, Hashable]) -> Criterion:
    """A criterion as a function of the values: the syntax tree is walked once, not at every evaluation.

    Args:
        text: the criterion.
        limits: name -> what stands for it in the keys of the values; a number stands for itself.

    Returns:
        A function of a mapping. Its keys are (lead or None, name or limit), as in ``names``; values are ``None`` where
        unknown. It returns the value of the criterion, ``None`` where that depends on what is unknown.

    Raises:
        CriterionError: the text is not in this language.
    """
    return _function(parse(text), limits)


def _function(node: ast.expr, limits: Mapping[str, Hashable]) -> Criterion:
    def function(item: ast.expr) -> Criterion:
        return _function(item, limits)

    match node:
        case ast.Constant(value=value):
            return lambda values: value
        case ast.Name(id=name) | ast.Attribute(attr=name) if (known := _constant(node, limits)) is not None:
            return lambda values: known
        case ast.Name() | ast.Attribute():
            return itemgetter(_key(node, limits))
        case ast.List(elts=items) | ast.Tuple(elts=items):
            parts = [function(item) for item in items]
            return lambda values: [part(values) for part in parts]
        case ast.BoolOp(op=op, values=items):
            return _joined([function(item) for item in items], decisive=isinstance(op, ast.Or))
        case ast.UnaryOp(op=ast.Not(), operand=item):
            part = function(item)
            return lambda values: kleene_not(_truth(part(values)))
        case ast.UnaryOp(operand=item):
            return _negative(function(item))
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(function(left), type(op), function(right))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(_FUNCTIONS[name], [function(item) for item in arguments])
        case ast.Compare(left=left, ops=[op], comparators=[other]) if (known := _constant(other, limits)) is not None:
            if isinstance(left, ast.Name | ast.Attribute) and _constant(left, limits) is None:
                return _read_and_compared(_key(left, limits), _COMPARE[type(op)], known)
            return _compared(function(left), _COMPARE[type(op)], known)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _comparison([function(item) for item in (left, *others)], [_COMPARE[type(op)] for op in ops])
    raise CriterionError(f"{type(node).__name__} has no value")


def _key(node: ast.Name | ast.Attribute, limits: Mapping[str, Hashable]) -> tuple[str | None, Hashable]:
    """Of a value that is looked up."""
    lead = node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None
    name = node.attr if isinstance(node, ast.Attribute) else node.id
    return lead, limits.get(name, name)


def _constant(node: ast.expr, limits: Mapping[str, Hashable]) -> Any:
    """What a part is for every recording and patient; None where it is read."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) | ast.Attribute(attr=name):
            known = limits.get(name)
            return known if isinstance(known, float) else None
        case ast.UnaryOp(op=ast.USub(), operand=item):
            size = _constant(item, limits)
            return None if size is None else -size
        case ast.List(elts=items) | ast.Tuple(elts=items):
            values = [_constant(item, limits) for item in items]
            return None if None in values else values
    return None


def _read_and_compared(key: tuple[str | None, Hashable], holds: Callable[[Any, Any], bool], known: Any) -> Criterion:
    def read(values: Values) -> Any:
        value = values[key]
        return None if value is None else bool(holds(value, known))

    return read


def _compared(part: Criterion, holds: Callable[[Any, Any], bool], known: Any) -> Criterion:
    def compared(values: Values) -> Any:
        value = part(values)
        return None if value is None else bool(holds(value, known))

    return compared


def _joined(parts: list[Criterion], decisive: bool) -> Criterion:
    """Kleene's "or" (``decisive`` True) or "and" (False) of parts; those after a decisive one are not evaluated."""

    def joined(values: Values) -> Any:
        known = True
        for part in parts:
            value = part(values)
            if value is None:
                known = False
            elif bool(value) is decisive:
                return decisive
        return not decisive if known else None

    return joined


def _negative(part: Criterion) -> Criterion:
    def negative(values: Values) -> Any:
        value = part(values)
        return None if value is None else -value

    return negative


def _arithmetic(left: Criterion, kind: type[ast.AST], right: Criterion) -> Criterion:
    operation, divides = _ARITHMETIC[kind], kind is ast.Div

    def result(values: Values) -> Any:
        a, b = left(values), right(values)
        return None if a is None or b is None or (divides and b == 0) else operation(a, b)

    return result


def _call(function: Callable[..., Any], parts: list[Criterion]) -> Criterion:
    def result(values: Values) -> Any:
        arguments = [part(values) for part in parts]
        return None if None in arguments else function(*arguments)

    return result


def _comparison(parts: list[Criterion], compare: list[Callable[[Any, Any], bool]]) -> Criterion:
    if len(parts) == 2:
        (left, right), (holds,) = parts, compare

        def single(values: Values) -> Any:
            a, b = left(values), right(values)
            return None if a is None or b is None else bool(holds(a, b))

        return single

    def chained(values: Values) -> Any:
        found = [part(values) for part in parts]
        return kleene_all(
            None if a is None or b is None else bool(one(a, b))
            for one, a, b in zip(compare, found, found[1:], strict=False)
        )

    return chained


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)
