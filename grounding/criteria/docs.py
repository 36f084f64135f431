"""Write docs/findings.md from the knowledge base.

Run ``python -m grounding.criteria.docs --accuracy benchmarks/findings.csv > docs/findings.md``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import yaml

from .knowledge import LEAD_GROUPS, FindingEntry, load_knowledge
from .language import criterion_words, limit_words
from .limits import load_limits
from .quantities import DERIVED

_HEAD = """# Findings

This page is generated from the knowledge base (`grounding/criteria/knowledge/*.yaml`) by

    python -m grounding.criteria.docs --accuracy benchmarks/findings.csv > docs/findings.md

`grounding.find(measurement)` evaluates every entry to present, absent, or not measurable with the reason (Kleene's
three values: an unknown part matters only where it could change the result), each with the evidence it read: quantity,
value, leads, seconds.

## Adding a finding

A finding of your own needs no change to the library: a YAML file with such an entry, given to
`grounding.criteria.add_findings` or to `--import` ([extend](extend.md)). To add one to the library, add one entry to a
file of the knowledge base: `name label group when source`, and where they apply `unless` with
`unless_reason`, `adaptation` (how the rule differs from the source, and why), `limits` of its own, `shows` (further
values given as evidence, beside those that the rule reads), `terms` (names of the finding in texts, which
`grounding.check` recognises) and `weakness`. The criterion in words is generated from `when`, so that it says what is
evaluated. Limits that are shared by several entries, the categories of numbers and the check (`long_pr_ms`,
`wide_qrs_ms`, ...) are in `grounding/criteria/limits.yaml`.

`when` is an expression (`pr > 200`, `aVL.r_mv + abs(V3.s_mv) > cornell`), or `all` / `any` / `none` of such, or
`leads` with `where`, `at_least` and `contiguous`, or `finding: name` of an earlier entry. Expressions are parsed, never
executed; they have numbers, words, lists, `+ - * /`, comparisons, `in`, `and`, `or`, `not`, `abs`, `max`, `min`. A
limit may depend on lead, sex or age, and its first rule that fits applies. Where the record does not say sex or age,
all rules that may fit are tried: if the results differ, the finding is undecided and says what it depends on. Values
are rounded as texts show them (whole ms, bpm and degrees, hundredths of a millivolt) before they are compared with a
limit. `x_rel` is an amplitude as a share of the lead's largest QRS deflection and needs no millivolts; in a recording
without millivolts, every `x_mv` is not measurable.
"""
_ACCURACY = """
## Agreement with labels

Measured by `python benchmarks/findings.py --data ROOT --out benchmarks/findings.csv` on PTB-XL folds 1-8 (raw records
in millivolts, and band-passed ones without them) and on the challenge recordings. A label counts at any likelihood.
Undecided records are left out of the other figures. Labels are clinicians' and incomplete (a sinus rhythm of 58 bpm is
rarely labelled a bradycardia, a QTc rarely labelled at all), so a low PPV is partly due to the labels. The thresholds
were adjusted with the raw and challenge records shown here, so those rows are not a held-out test.
"""


def page(accuracy: Path | None = None) -> str:
    """The page as Markdown.

    Args:
        accuracy: CSV file that ``benchmarks/findings.py`` writes; without it, the page has no table of agreement.
    """
    parts = [_HEAD, "## Limits\n", *_limits(), "", "## Quantities that entries may read\n"]
    parts.append(f"Derived: {', '.join(f'`{name}`' for name in DERIVED)}; all else is named as in `Measurement`.\n")
    parts.append(
        "Lead groups: " + "; ".join(f"`{name}` {' '.join(leads)}" for name, leads in LEAD_GROUPS.items()) + ".\n"
    )
    groups: dict[str, list[FindingEntry]] = {}
    for entry in load_knowledge().values():
        groups.setdefault(entry.group, []).append(entry)
    for group, entries in groups.items():
        parts.append(f"## {group.capitalize()}\n")
        parts += [line for entry in entries for line in _entry(entry)]
    if accuracy is not None:
        parts += [_ACCURACY, *_table(accuracy)]
    return "\n".join(parts) + "\n"


def _limits() -> Iterator[str]:
    yield "| limit | rules | source | different here |"
    yield "| --- | --- | --- | --- |"
    for limit in load_limits().values():
        yield f"| `{limit.name}` | {limit_words(limit)} | {limit.source} | {limit.adaptation} |"


def _entry(entry: FindingEntry) -> Iterator[str]:
    yield f"### {entry.label}\n"
    yield f"`{entry.name}`: {criterion_words(entry.name)}.\n"
    rule = (
        {"when": entry.when}
        | ({"unless": entry.unless} if entry.unless else {})
        | (
            {"limits": {name: list(map(dict, limit.rules)) for name, limit in entry.limits.items()}}
            if entry.limits
            else {}
        )
    )
    yield (
        "```yaml\n" + yaml.dump(rule, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True).strip() + "\n```\n"
    )
    yield f"Source: {entry.source}.\n"
    if entry.adaptation:
        yield f"Different here: {entry.adaptation}.\n"
    if entry.weakness:
        yield f"Weak spot: {entry.weakness}.\n"


class _Plain(yaml.SafeDumper):
    """Writes repeated objects in full, without YAML anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _table(path: Path) -> Iterator[str]:
    yield "| source | finding | records | labelled | TP | FP | FN | undecided | sensitivity | specificity | PPV |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["labelled"]):
                yield "| " + " | ".join(value or "-" for value in row.values()) + " |"


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description="Write the page of findings.")
    parser.add_argument("--accuracy", type=Path)
    print(page(parser.parse_args().accuracy), end="")


if __name__ == "__main__":
    main()
