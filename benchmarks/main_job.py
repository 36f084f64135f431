"""Explain every recording of a data folder and count what came out.

    python benchmarks/main_job.py ../shared/data [--limit N] [--json OUT]

For each WFDB record of ``ptbxl/records500`` and ``challenge``: an explanation or a typed error (anything else is a
crash), whether every number in the text is one that ``measure`` gives, the verdicts of the checker, and the seconds it
took in one process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gem
import grounding


def explain_all(root: Path, limit: int | None) -> dict[str, Any]:
    paths = sorted((root / "ptbxl" / "records500").rglob("*.hea")) + sorted((root / "challenge").rglob("*.hea"))
    started = time.perf_counter()
    model = gem.load("gem-nano")
    loading_s = time.perf_counter() - started
    outcomes: Counter[str] = Counter()
    numeric: Counter[str] = Counter()
    other: Counter[str] = Counter()
    seconds, trouble = [], []
    for path in paths[:limit]:
        started = time.perf_counter()
        try:
            explanation = gem.explain(path.with_suffix(""), model=model)
        except grounding.EcgError as error:
            outcomes["typed error"] += 1
            trouble.append(f"{path.stem}: {error}")
            continue
        except Exception as error:
            outcomes["crash"] += 1
            trouble.append(f"{path.stem}: {type(error).__name__}: {error}")
            continue
        seconds.append(time.perf_counter() - started)
        outcomes["explained" if explanation.text.strip() else "empty text"] += 1
        for claim in explanation.claims:
            (numeric if claim.kind == "number" else other)[claim.verdict] += 1
            if claim.kind == "number" and claim.verdict != "supported":
                trouble.append(f"{path.stem}: {claim.verdict}: {claim.text!r} ({claim.reason})")
    seconds.sort()
    return {
        "records": len(paths[:limit]),
        "outcomes": dict(outcomes),
        "numeric_claims": dict(numeric),
        "other_claims": dict(other),
        "seconds_median": seconds[len(seconds) // 2] if seconds else None,
        "seconds_p95": seconds[int(0.95 * len(seconds))] if seconds else None,
        "seconds_max": seconds[-1] if seconds else None,
        "seconds_loading": loading_s,
        "trouble": trouble,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = explain_all(arguments.root, arguments.limit)
    print(json.dumps({key: value for key, value in result.items() if key != "trouble"}, indent=1))
    print("\n".join(result["trouble"][:40]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
