"""Grounded ECG Understanding (GEM): interpretations that a judge marks by eight criteria, or claims and evidence do.

``published`` is the authors' aggregation of a judge's marks (``--judge``), ``strict`` the same criteria marked without
a model, from the answer's claims on the recording itself; see ``judging.model_free``.

References:
    Lan et al., GEM: empowering MLLM for grounded ECG understanding with time series and images, arXiv 2503.06073.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grounding import STANDARD_LEADS
from grounding.criteria.assessment import assess
from grounding.statements.amplitudes import measured_amplitude

from .ecgbench.files import read_file
from .ecgbench.report import report_by_rules
from .items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, register_item_benchmark
from .judging.model_free import model_free_marks
from .labels import refuses
from .rubrics import GROUNDED

if TYPE_CHECKING:
    from grounding import Measurement

    from .inputs import Inputs

SOURCE = "https://huggingface.co/datasets/LANSG/ECG-Grounding (ecg_jsons/ecg-grounding-test-*.json)"
FILES = {"grounded-ptbxl": "ecg-grounding-test-ptbxl", "grounded-mimic": "ecg-grounding-test-mimiciv"}


def model_free_score(item: Item, answer: str, inputs: Inputs) -> Score:
    """The criteria without a model: ``overall`` and each of them as a share of what could be reached, 0-1.

    Args:
        item: with the reference interpretation.
        answer: an interpretation.
        inputs: the recordings.
    """
    marks = model_free_marks(answer, item.truth[0], inputs.measurement(item.records[0]))
    values = GROUNDED.strict(marks)
    reason = None
    if values["overall"] < 1:
        nothing = not any(marks["AnalysisRelevance"])
        reason = REFUSED if refuses(answer) else WRONG_FORMAT if nothing else WRONG_VALUE
    return Score(values, reason)


def interpretation_by_rules(item: Item, inputs: Inputs) -> str:
    """What the knowledge base finds, then R, S and T of each lead, without a model.

    Args:
        item: of the benchmark.
        inputs: the recordings.
    """
    return f"{report_by_rules(item, inputs)} {lead_sentences(inputs.measurement(item.records[0]))}".strip()


def lead_sentences(measurement: Measurement) -> str:
    """A sentence for each lead with the amplitudes that were measured in it.

    Args:
        measurement: of the recording.
    """
    quantities = assess(measurement).quantities
    sentences = []
    for lead in STANDARD_LEADS:
        waves = {wave: measured_amplitude(quantities, wave, lead)[0] for wave in "rst"}
        known = {wave.upper(): value for wave, value in waves.items() if value is not None}
        if known:
            parts = [f"the {wave} wave in lead {lead} is {value:.2f} mV" for wave, value in known.items()]
            sentences.append(f"T{' and '.join(parts)[1:]}.")
    return " ".join(sentences)


def _load(name: str, path: Path) -> list[Item]:
    return [
        Item(entry.entry_id, "report", entry.question, entry.question, (entry.answer,), (), (entry.recording,))
        for entry in read_file(path, FILES[name], SOURCE)
    ]


def _register(name: str, text: str, samples: str) -> None:
    def load(path: Path) -> list[Item]:
        return _load(name, path)

    register_item_benchmark(
        ItemBenchmark(
            name,
            text,
            load,
            {},
            interpretation_by_rules,
            SOURCE,
            grounded={"strict": model_free_score},
            rubric=GROUNDED,
            samples=samples,
        )
    )


_register("grounded-ptbxl", "Grounded ECG Understanding (GEM) on PTB-XL", "ecg-grounding-test-ptbxl.json")
_register("grounded-mimic", "Grounded ECG Understanding (GEM) on MIMIC-IV-ECG", "ecg-grounding-test-mimiciv.json")
