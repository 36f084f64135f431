"""Accuracy of ``check`` on a hand-labelled corpus of texts by people and devices, about recordings of known contents.

    python benchmarks/check_corpus.py --wrong

Every fourth sentence of each file was held out while the rules were written.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import grounding
from grounding import Claim
from grounding.measurement.result import Measurement
from grounding.synthetic import synthesize

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "grounding" / "statements" / "corpus"
FILES = ("reports", "devices", "prose", "german")
VERDICTS = {"S": "supported", "C": "contradicted", "U": "unsupported", "N": "not_checkable"}


@dataclass(frozen=True)
class Sentence:
    """A text, the recording it is about, and the verdict that each of its claims (found by their words) should get."""

    record: str
    text: str
    labels: Mapping[str, str]
    file: str
    kept: bool


@dataclass
class Score:
    """Counts over some sentences.

    Attributes:
        sentences: number of sentences.
        labels: number of labelled claims.
        checkable: labels whose verdict is not ``not_checkable``.
        read: checkable labels for which there is a claim that was checked.
        right: labels with the verdict in the corpus.
        claims: claims that were checked; ``spurious`` are those without a label.
        false_contradicted: claims that are ``contradicted`` and not labelled so.
        wrong: errors in words.
    """

    sentences: int = 0
    labels: int = 0
    checkable: int = 0
    read: int = 0
    right: int = 0
    claims: int = 0
    spurious: int = 0
    false_contradicted: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.read / max(1, self.checkable)

    @property
    def precision(self) -> float:
        return 1 - self.spurious / max(1, self.claims)

    @property
    def accuracy(self) -> float:
        return self.right / max(1, self.labels)

    @property
    def false_contradicted_share(self) -> float:
        return self.false_contradicted / max(1, self.labels)


def load(names: Iterable[str] = FILES) -> list[Sentence]:
    """The corpus."""
    out = []
    for name in names:
        rows: list[Any] = yaml.load((CORPUS / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        out += [Sentence(row[0], row[1], row[2], name, number % 4 == 3) for number, row in enumerate(rows)]
    return out


def records(measured: bool = False) -> dict[str, Measurement]:
    """The measurements of the corpus' recordings; their global values are the stated ones, unless ``measured``."""
    told = yaml.safe_load((CORPUS / "records.yaml").read_text(encoding="utf-8"))
    out = {}
    for name, arguments in told.items():
        sex = arguments.pop("sex", "female")
        if "ectopy" in arguments:
            arguments["ectopy"] = tuple(arguments["ectopy"])
        record, truth = synthesize(**arguments)
        measurement = dataclasses.replace(grounding.measure(record), age=58.0, sex=sex)
        if not measured:
            known = {key: value for key, value in truth.intervals.items() if value is not None}
            rr_s = known["rr"] / 1000
            qt = known["qt"]
            known |= {
                "qtc_bazett": qt / rr_s**0.5,
                "qtc_fridericia": qt / rr_s ** (1 / 3),
                "qtc_framingham": qt + 154 * (1 - rr_s),
                "qtc_hodges": qt + 1.75 * (60 / rr_s - 60),
            }
            measurement = dataclasses.replace(
                measurement,
                intervals={**measurement.intervals, **known},
                heart_rate=truth.heart_rate,
                axes={**measurement.axes, "qrs": truth.axis},
            )
        out[name] = measurement
    return out


def score(corpus: Iterable[Sentence], measurements: Mapping[str, Measurement]) -> Score:
    """Check every sentence and compare with its labels."""
    out = Score()
    for sentence in corpus:
        claims = [
            claim for claim in grounding.check(sentence.text, measurements[sentence.record]) if claim.kind != "other"
        ]
        held = [claim for claim in claims if claim.verdict != "not_checkable"]
        matched = _match(sentence, claims)
        out.sentences += 1
        out.claims += len(held)
        # "normal intervals" gives one claim per interval at the same place; they count as one
        places = {(one.start, one.end) for one in matched.values() if one is not None}
        spurious = [claim for claim in held if (claim.start, claim.end) not in places]
        out.spurious += len(spurious)
        out.false_contradicted += sum(claim.verdict == "contradicted" for claim in spurious)
        out.wrong += [
            f"{sentence.text!r} [{sentence.record}]: {claim.verdict} {claim.text!r} is no claim ({claim.reason})"
            for claim in spurious
        ]
        for words, label in sentence.labels.items():
            claim = matched[words]
            verdict = claim.verdict if claim is not None else "not_checkable"
            out.labels += 1
            out.checkable += label != "N"
            out.read += label != "N" and verdict != "not_checkable"
            out.right += verdict == VERDICTS[label]
            out.false_contradicted += verdict == "contradicted" and label != "C"
            if verdict != VERDICTS[label]:
                reason = f" ({claim.reason})" if claim is not None else " (not read)"
                out.wrong.append(
                    f"{sentence.text!r} [{sentence.record}]: {words!r} is {verdict}, not {VERDICTS[label]}{reason}"
                )
    return out


def _match(sentence: Sentence, claims: list[Claim]) -> dict[str, Claim | None]:
    """Label -> the claim that overlaps its words and ends nearest to their end."""
    out: dict[str, Claim | None] = {}
    free = list(claims)
    at = 0
    for words in sentence.labels:
        start = sentence.text.find(words, at)
        start = start if start >= 0 else sentence.text.find(words)
        if start < 0:
            raise ValueError(f"{words!r} is not in {sentence.text!r}")
        end = start + len(words)
        at = start + 1
        near = [claim for claim in free if claim.start < end and claim.end > start]
        best = min(near, key=lambda claim: (abs(claim.end - end), abs(claim.start - start)), default=None)
        out[words] = best
        if best is not None:
            free.remove(best)
    return out


def table(scores: Mapping[str, Score]) -> str:
    head = (
        f"{'':22}{'sentences':>10}{'claims':>8}{'read':>9}{'precision':>11}{'verdicts':>10}{'false contradicted':>20}"
    )
    rows = [
        f"{name:22}{one.sentences:10}{one.labels:8}{100 * one.recall:8.1f}%{100 * one.precision:10.1f}"
        f"%{100 * one.accuracy:9.1f}%{100 * one.false_contradicted_share:19.1f}%"
        for name, one in scores.items()
    ]
    return "\n".join([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrong", action="store_true", help="print what went wrong in the part the rules were made on")
    parser.add_argument("--kept-wrong", action="store_true", help="and in the part kept aside")
    parser.add_argument(
        "--measured",
        action="store_true",
        help="hold against what is measured in the recordings, not against the stated values",
    )
    options = parser.parse_args()
    corpus, measurements = load(), records(options.measured)
    begin = time.perf_counter()
    parts = {
        "developed on": [s for s in corpus if not s.kept],
        "kept aside": [s for s in corpus if s.kept],
        "all": corpus,
    }
    parts |= {f"  {name}": [s for s in corpus if s.file == name] for name in FILES}
    scores = {name: score(part, measurements) for name, part in parts.items()}
    print(table(scores))
    print(
        f"{1000 * (time.perf_counter() - begin) / (3 * len(corpus)):.2f} ms a sentence; verdicts marked: "
        f"{dict(Counter(label for s in corpus for label in s.labels.values()))}"
    )
    shown = scores["developed on"].wrong if options.wrong else []
    print("\n".join(shown + (scores["kept aside"].wrong if options.kept_wrong else [])))


if __name__ == "__main__":
    main()
