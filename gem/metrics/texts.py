"""Metrics of reports as ``torchmetrics.Metric``: CIDEr-D, statements, numbers and leads.

BLEU, ROUGE and BERTScore are in torchmetrics, METEOR is in ``meteor``.

References:
    Vedantam et al., CIDEr: consensus-based image description evaluation, CVPR 2015.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from grounding import Measurement, check, find
from grounding.evidence import VERDICTS
from grounding.facts import compose, facts, resolve
from grounding.statements.parsing import read_statements

MAX_ORDER, LENGTH_SIGMA = 4, 6.0
QUANTITIES = ("heart_rate", "pr", "qrs", "qt", "qtc", "p", "rr", "axis")
Groups = tuple[tuple[str, ...], ...]


class TextPairs(Metric):
    """Base: pairs of texts, kept as bytes so that processes can gather them."""

    full_state_update = False
    said_bytes: list[Tensor]
    said_lengths: list[Tensor]
    true_bytes: list[Tensor]
    true_lengths: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("said_bytes", "said_lengths", "true_bytes", "true_lengths"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, said: Sequence[str], true: Sequence[str]) -> None:
        """Add texts.

        Args:
            said: texts of a model.
            true: the reference of each.

        Raises:
            ValueError: they are not equally many.
        """
        if len(said) != len(true):
            raise ValueError(f"{len(said)} texts and {len(true)} references")
        for name, texts in (("said", said), ("true", true)):
            coded = [text.encode() for text in texts]
            joined = torch.tensor(list(b"".join(coded)), dtype=torch.uint8, device=self.device)
            getattr(self, f"{name}_bytes").append(joined)
            getattr(self, f"{name}_lengths").append(torch.tensor([len(one) for one in coded], device=self.device))

    def texts(self) -> tuple[list[str], list[str]]:
        """All texts and their references so far."""
        return _decoded(self.said_bytes, self.said_lengths), _decoded(self.true_bytes, self.true_lengths)


def _decoded(parts: Any, lengths: Any) -> list[str]:
    if not len(lengths):
        return []
    whole, out, start = bytes(dim_zero_cat(parts).cpu().tolist()), [], 0
    for length in dim_zero_cat(lengths).tolist():
        out.append(whole[start : start + length].decode())
        start += length
    return out


def cider_d(said: Sequence[str], true: Sequence[str]) -> list[float]:
    """CIDEr-D of each text against its reference, 0-10; the references are the corpus of the document frequencies.

    Words are split at white space, as the published implementation gets them from its tokeniser.

    Args:
        said: texts.
        true: the reference of each.

    Example:
        >>> [round(value, 3) for value in cider_d(["a b c d", "x"], ["a b c d", "e f g h"])]
        [10.0, 0.0]
    """
    frequency, n = document_frequency(true)
    return [cider_d_against(one, other, frequency, n) for one, other in zip(said, true, strict=True)]


def document_frequency(true: Sequence[str]) -> tuple[Mapping[tuple[str, ...], int], int]:
    """How many references have each n-gram, and how many references there are.

    Args:
        true: the references.
    """
    return Counter(gram for text in true for gram in _ngrams(text)), len(true)


def cider_d_against(said: str, true: str, frequency: Mapping[tuple[str, ...], int], n: int) -> float:
    """CIDEr-D of one text, 0-10.

    Args:
        said: a text.
        true: its reference.
        frequency: from ``document_frequency``.
        n: number of references there.
    """
    return _cider_d_of(_ngrams(said), _ngrams(true), frequency, math.log(max(n, 1)))


def _ngrams(text: str) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(
        tuple(words[start : start + n]) for n in range(1, MAX_ORDER + 1) for start in range(len(words) - n + 1)
    )


def _cider_d_of(
    said: Mapping[tuple[str, ...], int],
    true: Mapping[tuple[str, ...], int],
    frequency: Mapping[tuple[str, ...], int],
    log_n: float,
) -> float:
    vectors = [
        {gram: count * (log_n - math.log(max(1, frequency.get(gram, 0)))) for gram, count in grams.items()}
        for grams in (said, true)
    ]
    # the published code takes the number of bigrams for the length
    lengths = [sum(count for gram, count in grams.items() if len(gram) == 2) for grams in (said, true)]
    penalty = math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * LENGTH_SIGMA**2))
    total = 0.0
    for n in range(1, MAX_ORDER + 1):
        one, other = ({gram: value for gram, value in vector.items() if len(gram) == n} for vector in vectors)
        norm = math.sqrt(sum(v * v for v in one.values())) * math.sqrt(sum(v * v for v in other.values()))
        both = sum(min(value, other[gram]) * other[gram] for gram, value in one.items() if gram in other)
        total += penalty * (both / norm if norm else both)
    return 10.0 * total / MAX_ORDER


class CiderD(TextPairs):
    """CIDEr-D over all texts: the document frequencies are those of all references, over all processes.

    Example:
        >>> metric = CiderD()
        >>> metric.update(["sinus rhythm with pvc"], ["sinus rhythm with pvc"])
        >>> metric.update(["normal ecg"], ["atrial fibrillation with rapid rate"])
        >>> round(float(metric.compute()), 3)
        5.0
    """

    def compute(self) -> Tensor:
        """The mean, 0-10; NaN without texts."""
        values = cider_d(*self.texts())
        return torch.tensor(values, dtype=torch.float64).mean()


@lru_cache(4096)
def stated_findings(text: str) -> Groups:
    """The findings that a text says to be there.

    Args:
        text: a report.

    Returns:
        For each, the names in the knowledge base of which one must be present.

    Example:
        >>> stated_findings("No LVH. Atrial fibrillation.")
        (('atrial_fibrillation',),)
    """
    there: set[tuple[str, ...]] = set()
    for one in read_statements(text):
        if one.kind == "finding" and not one.negated and not one.exclusion:
            there |= {tuple(group) for group in one.findings}
    return tuple(sorted(there))


def agreeing(some: Groups, others: Groups) -> int:
    """How many statements agree with one of the others: "sinus rhythm" and "sinus bradycardia" do.

    Args:
        some: from ``stated_findings``.
        others: from ``stated_findings``.
    """
    return sum(any(set(one) & set(other) for other in others) for one in some)


class StatedFindings(Metric):
    """Precision, recall and F1 of the findings that reports state, against reference reports, over all statements.

    Example:
        >>> metric = StatedFindings()
        >>> metric.update(["Atrial fibrillation. LVH."], ["Atrial fibrillation. Right bundle branch block."])
        >>> {name: round(float(value), 2) for name, value in metric.compute().items()}
        {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("counts", default=torch.zeros(4, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, said: Sequence[str], true: Sequence[str]) -> None:
        """Add reports.

        Args:
            said: reports of a model.
            true: the reference of each.
        """
        for one, other in zip(said, true, strict=True):
            found, wanted = stated_findings(one), stated_findings(other)
            row = [agreeing(found, wanted), len(found), agreeing(wanted, found), len(wanted)]
            self.counts += torch.tensor(row, device=self.device)

    def compute(self) -> dict[str, Tensor]:
        """``precision``, ``recall`` and ``f1``; NaN where nothing is stated."""
        supported, said, recalled, true = self.counts.double()
        precision, recall = supported / said, recalled / true
        return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}


class SupportedClaims(Metric):
    """Reports against the recording itself: claims by the verdict of ``grounding.check``, and what is not said.

    Example:
        >>> import grounding
        >>> measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
        >>> metric = SupportedClaims()
        >>> metric.update(["Heart rate 250 bpm."], [measurement])
        >>> float(metric.compute()["contradicted"]), float(metric.compute()["recall"])
        (1.0, 0.0)
    """

    full_state_update = False
    counts: Tensor
    found: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("counts", default=torch.zeros(len(VERDICTS), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("found", default=torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, said: Sequence[str], measurements: Sequence[Measurement]) -> None:
        """Add reports.

        Args:
            said: reports.
            measurements: of the recording of each.
        """
        for text, measurement in zip(said, measurements, strict=True):
            verdicts, stated, there = against_recording(text, measurement)
            for verdict, n in verdicts.items():
                self.counts[VERDICTS.index(verdict)] += n
            self.found += torch.tensor([stated, there], device=self.device)

    def compute(self) -> dict[str, Tensor]:
        """The share of each verdict among the claims that can be checked, and ``n`` of these.

        ``precision`` is the share of ``supported``; ``recall`` that of the findings of the recording, as the knowledge
        base reports them, which the reports state; ``f1``.
        """
        names = [name for name in VERDICTS if name != "not_checkable"]
        counts = {name: self.counts[VERDICTS.index(name)].double() for name in names}
        n = torch.stack(list(counts.values())).sum()
        precision, recall = counts["supported"] / n, self.found[0].double() / self.found[1]
        f1 = 2 * precision * recall / (precision + recall)
        return {
            **{name: value / n for name, value in counts.items()},
            "n": n,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }


def against_recording(text: str, measurement: Measurement) -> tuple[Counter[str], int, int]:
    """Claims of a report by verdict; findings of the recording that it states, and that are there.

    Args:
        text: a report.
        measurement: of the recording.
    """
    wanted = stated_findings(own_report(measurement))
    return (
        Counter(claim.verdict for claim in check(text, measurement)),
        agreeing(wanted, stated_findings(text)),
        len(wanted),
    )


def own_report(measurement: Measurement) -> str:
    """What the knowledge base reports of a recording.

    Args:
        measurement: of the recording.
    """
    items = facts(measurement, find(measurement))
    return " ".join(sentence.text for sentence in resolve(compose(items), items))


class NumericError(Metric):
    """Mean absolute error of the numbers that reports give, by quantity, against reference reports.

    Example:
        >>> metric = NumericError()
        >>> metric.update(["PR interval 180 ms."], ["PR interval 160 ms, heart rate 70 bpm."])
        >>> result = metric.compute()
        >>> float(result["pr"]), float(result["given"])
        (20.0, 0.5)
    """

    full_state_update = False
    errors: Tensor
    given: Tensor
    wanted: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("errors", "given", "wanted"):
            zeros = torch.zeros(len(QUANTITIES), dtype=torch.float64)
            self.add_state(name, default=zeros, dist_reduce_fx="sum")

    def update(self, said: Sequence[str], true: Sequence[str]) -> None:
        """Add reports.

        Args:
            said: reports of a model.
            true: the reference of each.
        """
        for one, other in zip(said, true, strict=True):
            found, wanted = stated_numbers(one), stated_numbers(other)
            for place, name in enumerate(QUANTITIES):
                if name in wanted:
                    self.wanted[place] += 1
                    if name in found:
                        self.given[place] += 1
                        self.errors[place] += abs(found[name] - wanted[name])

    def compute(self) -> dict[str, Tensor]:
        """Quantity -> mean absolute error in its unit (ms, bpm, degrees), and ``given``: the share that is there."""
        out = {
            name: self.errors[place] / self.given[place]
            for place, name in enumerate(QUANTITIES)
            if self.given[place] > 0
        }
        return {**out, "given": self.given.sum() / self.wanted.sum()}


def stated_numbers(text: str) -> dict[str, float]:
    """The first number that a text gives for each quantity, the middle of a range.

    Args:
        text: a report.

    Example:
        >>> stated_numbers("PR interval 160 ms, QRS 80-100 ms.")
        {'pr': 160.0, 'qrs': 90.0}
    """
    out: dict[str, float] = {}
    for one in read_statements(text):
        if one.kind == "number" and one.number is not None and one.subject and one.subject[0] in QUANTITIES:
            out.setdefault(one.subject[0], (one.number.low + one.number.high) / 2)
    return out


class LeadAgreement(Metric):
    """Jaccard index of the leads that reports name for a finding, over the findings that both state with leads.

    Example:
        >>> metric = LeadAgreement()
        >>> metric.update(["ST elevation in V1 and V2."], ["ST elevation in V2 and V3."])
        >>> round(float(metric.compute()), 3)
        0.333
    """

    full_state_update = False
    total: Tensor
    n: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, said: Sequence[str], true: Sequence[str]) -> None:
        """Add reports.

        Args:
            said: reports of a model.
            true: the reference of each.
        """
        for one, other in zip(said, true, strict=True):
            shares = lead_agreement(one, other)
            self.total += sum(shares)
            self.n += len(shares)

    def compute(self) -> Tensor:
        """The mean, 0-1; NaN where no finding has leads in both."""
        return self.total / self.n


def lead_agreement(said: str, true: str) -> list[float]:
    """The Jaccard index of the leads of each finding that two reports both state with leads.

    Args:
        said: a report of a model.
        true: its reference.
    """
    found, wanted = _leads_of(said), _leads_of(true)
    both = sorted(found.keys() & wanted.keys())
    return [len(found[name] & wanted[name]) / len(found[name] | wanted[name]) for name in both]


def _leads_of(text: str) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for one in read_statements(text):
        if one.kind == "finding" and one.leads and not one.negated and not one.exclusion:
            for name in {name for group in one.findings for name in group}:
                out.setdefault(name, set()).update(one.leads)
    return out
