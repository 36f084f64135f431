"""How far judges agree: weighted kappa between two, and the intraclass correlation of any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from ..rubrics import Rubric


def weighted_kappa(one: ArrayLike, other: ArrayLike) -> float:
    """Cohen's kappa with quadratic weights, on the marks as they are, without classes.

    Args:
        one: (n,) marks of a judge.
        other: (n,) marks of another.

    Returns:
        1 where they are the same, about 0 for chance; NaN where neither judge's marks differ.

    Example:
        >>> weighted_kappa([0, 1, 2], [0, 1, 2]), weighted_kappa([0, 1, 2], [2, 1, 0])
        (1.0, -1.0)
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    by_chance = float(((a[:, None] - b[None, :]) ** 2).mean()) if a.size else 0.0
    return float(1.0 - ((a - b) ** 2).mean() / by_chance) if by_chance > 0 else float("nan")


def icc(marks: ArrayLike) -> float:
    """Intraclass correlation ICC(2,1): two-way, random judges, absolute agreement, a single judge.

    Args:
        marks: (n, judges).

    Returns:
        NaN with fewer than two answers or judges, or where no mark differs.

    References:
        Shrout and Fleiss, Psychological Bulletin 86, 420 (1979).
    """
    table = np.asarray(marks, np.float64)
    n, k = table.shape if table.ndim == 2 else (0, 0)
    if n < 2 or k < 2:
        return float("nan")
    whole, rows, columns = table.mean(), table.mean(1), table.mean(0)
    of_rows = k * ((rows - whole) ** 2).sum() / (n - 1)
    of_columns = n * ((columns - whole) ** 2).sum() / (k - 1)
    left = ((table - rows[:, None] - columns[None, :] + whole) ** 2).sum() / ((n - 1) * (k - 1))
    total = of_rows + (k - 1) * left + k * (of_columns - left) / n
    return float((of_rows - left) / total) if total > 0 else float("nan")


def judged(rubric: Rubric, answers: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Agreement, failures and tokens of the judges of a run.

    Args:
        rubric: of the judges.
        answers: for each answer the opinions of all judges, as stored.

    Returns:
        ``judges``: judge -> ``n``, ``failed``, ``prompt_tokens``, ``completion_tokens``; ``agreement``: metric ->
        ``kappa`` (mean over pairs), ``icc`` and ``n`` of the answers that all judges marked.
    """
    names = list(dict.fromkeys(one["judge"] for opinions in answers for one in opinions))
    judges: dict[str, Any] = {}
    for name in names:
        own = [one for opinions in answers for one in opinions if one["judge"] == name]
        counts = {key: sum(one["tokens"].get(key, 0) for one in own) for key in ("prompt_tokens", "completion_tokens")}
        judges[name] = {"n": len(own), "failed": sum(not one["marks"] for one in own), **counts}
    complete = [
        [rubric.published(one["marks"]) for one in opinions]
        for opinions in answers
        if len(opinions) == len(names) and all(one["marks"] for one in opinions)
    ]
    agreement = {}
    for metric in [one.metric for one in rubric.criteria] if len(names) > 1 and complete else []:
        table = np.array([[values[metric] for values in row] for row in complete])
        kappas = [weighted_kappa(table[:, a], table[:, b]) for a, b in combinations(range(len(names)), 2)]
        known = [value for value in kappas if not np.isnan(value)]
        whole = icc(table)
        agreement[metric] = {
            "kappa": float(np.mean(known)) if known else None,
            "icc": None if np.isnan(whole) else whole,
            "n": len(complete),
        }
    return {"judges": judges, "agreement": agreement}


def add_cost(result: Mapping[str, Any], price: tuple[float, float]) -> None:
    """Give each judge of a run its ``cost``, in the currency of the price.

    Args:
        result: from ``judged``.
        price: of a million tokens that a judge reads, and of a million that it writes.
    """
    for one in result.get("judges", {}).values():
        one["cost"] = (one["prompt_tokens"] * price[0] + one["completion_tokens"] * price[1]) / 1e6


def judges_table(result: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal.

    Args:
        result: from ``judged``; an empty one gives no lines.
    """
    lines = [
        f"judge {name}: {one['n']} answers, {one['failed']} failed, {one['prompt_tokens']} + "
        f"{one['completion_tokens']} tokens" + (f", cost {one['cost']:.4f}" if "cost" in one else "")
        for name, one in result.get("judges", {}).items()
    ]
    for metric, one in result.get("agreement", {}).items():
        cells = [f"{name} {'-' if one[name] is None else f'{one[name]:.2f}'}" for name in ("kappa", "icc")]
        lines.append(f"judges on {metric:30s} {', '.join(cells)}, n {one['n']}")
    return lines
