"""Write the chains that ship with the reasoning benchmark: ours, in the layout of ECG-Reasoning-Benchmark.

    python benchmarks/reasoning_samples.py gem/evaluation/samples/ecg_reasoning

They are about bundled recordings. What a chain concludes is the data set's label (it is checked); the steps between,
with their leads, seconds and ranges, are the measurement's, so that ``rules`` is right by construction. The questions
and options are ours.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import grounding
from gem.evaluation.reasoning import Reasoner, read_sign
from gem.evaluation.reasoning.answering import protocol_for

MORE = "Further findings are needed"
# diagnosis, recording, what the label says
CHAINS = (
    ("first degree AV block", "ptbxl_102", True),
    ("first degree AV block", "ptbxl_13", False),
    ("complete right bundle branch block", "ptbxl_424", True),
    ("complete right bundle branch block", "ptbxl_139", False),
    ("complete left bundle branch block", "ptbxl_286", True),
    ("left anterior fascicular block", "ptbxl_424", True),
    ("left ventricular hypertrophy", "ptbxl_298", True),
    ("premature ventricular complex", "ptbxl_413", True),
    ("lateral ischemia", "ptbxl_102", True),
    ("inferior myocardial infarction", "ptbxl_13", False),
)
# sign -> criterion, and what is asked of the recording; {} are the leads
TEXTS = {
    "one_to_one": ("Consistent 1:1 conduction", "Is every P wave followed by a QRS complex (consistent 1:1)?"),
    "pr_long": ("Prolongation of the PR interval", "Is the PR interval prolonged, that is, over 200 ms?"),
    "qrs_long": ("Prolongation of the QRS duration", "Is the QRS duration prolonged, that is, over 120 ms?"),
    "rsr": ("An rSR' pattern in {}", "Is there an rSR' pattern in any of {}?"),
    "broad_r_or_qr": ("Broad monophasic R waves or qR in {}", "Are there broad monophasic R waves or qR in {}?"),
    "slurred_s": ("Slurred S waves in {} leads", "Are there slurred S waves in at least two of the {} leads?"),
    "dominant_s": ("A dominant S wave in {}", "Is there a dominant S wave in {}?"),
    "monophasic_r": ("Positive monophasic R waves in {} leads", "Are there positive monophasic R waves in {} leads?"),
    "notched_r": ("Notched R waves in {} leads", "Are there notched R waves in {} leads?"),
    "broad_r": ("Broad monophasic R waves in {}", "Are there broad monophasic R waves in {}?"),
    "lbbb": ("Left bundle branch block", "Is there left bundle branch block?"),
    "axis_left": ("Left axis deviation", "Is there left axis deviation, between -90 and -30 degrees?"),
    "qr": ("A qR pattern in {}", "Is there a qR pattern in {}?"),
    "rs": ("An rS pattern in {}", "Is there an rS pattern in {}?"),
    "r_amplitude": (
        "An R amplitude in lead {} greater than 1.1mV",
        "Is the R amplitude in lead {} greater than 1.1mV?",
    ),
    "sokolow": ("The sum of S in V1 and R in V5 or V6", "Is the sum of S in V1 and R in V5 or V6 over 3.5mV?"),
    "cornell": ("The Cornell product", "Is the Cornell product high?"),
    "lv_strain": ("LV strain in {} leads", "Is there LV strain in at least two of the {} leads?"),
    "st_elevation": ("ST-segment elevation in {} leads", "Is there ST elevation in at least two of the {} leads?"),
    "st_depression": ("ST-segment depression in {} leads", "Is there ST depression in at least two of the {} leads?"),
    "q_wave": ("Pathological Q waves in {} leads", "Are there pathological Q waves in at least two of the {} leads?"),
    "t_inversion": ("Inverted T waves in {} leads", "Are there inverted T waves in at least two of the {} leads?"),
    "premature": ("Premature beats", "Are there premature beats?"),
    "premature_wide": ("A prolonged QRS of the premature beat", "Is the QRS prolonged in the premature beat?"),
}
OTHERS = ("Peaked T waves", "A shortened QT interval", "Delta waves", "Electrical alternans", "U waves")
LEADS = ("st_elevation", "st_depression", "t_inversion", "q_wave")


def question(kind: str, text: str, options: list[str], answer: Any) -> dict[str, Any]:
    """A question in the benchmark's layout."""
    if isinstance(answer, list):
        place: Any = [options.index(one) for one in answer]
    else:
        place = options.index(answer)
    return {"question": text, "options": options, "answer": answer, "answer_idx": place, "question_type": kind}


def chain(name: str, recording: str, label: bool) -> dict[str, Any]:
    """A chain through the protocol of a diagnosis."""
    reasoner = Reasoner(grounding.read_record(grounding.sample_path(recording)))
    draw = random.Random(f"{name} {recording}")
    protocol = protocol_for(name)
    assert protocol is not None
    met: list[bool] = []
    loops: list[dict[str, Any]] = []
    while isinstance(at := reasoner._walk(protocol, met), int):
        step = protocol["steps"][at]
        leads = ", ".join(step.get("leads", "").split()[:-1]) + " and " if " " in step.get("leads", "") else ""
        leads += step.get("leads", "").split(" ")[-1]
        criterion, asked = (text.format(leads) for text in TEXTS[step["sign"]])
        assert read_sign(asked).name == read_sign(criterion).name == step["sign"], (asked, criterion)
        holds = reasoner._sign(read_sign(asked))
        met.append(holds)
        options = [criterion, *draw.sample(OTHERS, 3)]
        draw.shuffle(options)
        first = f"Which criterion should be evaluated {'first' if not loops else 'next'} to diagnose {name}?"
        state = reasoner._walk(protocol, met)
        verdict = MORE if isinstance(state, int) else "Yes" if state == "present" else "No"
        so_far = f"Do the findings so far suggest {name}?"
        loops.append(
            {
                "criterion_selection": question("criterion_selection", first, options, criterion),
                "finding_identification": question(
                    "finding_identification", asked, ["Yes", "No"], "Yes" if holds else "No"
                ),
                "ecg_grounding": grounded(reasoner, step["sign"], asked, holds, draw),
                "diagnostic_decision": question("diagnostic_decision", so_far, ["Yes", "No", MORE], verdict),
            }
        )
    assert (reasoner._walk(protocol, met) == "present") == label, (name, recording, met)
    answer = "Yes" if label else "No"
    opening = question("initial_diagnostic_question", f"Does this ECG suggest {name}?", ["Yes", "No"], answer)
    about = {"data_source": "ptbxl", "ecg_id": recording.removeprefix("ptbxl_"), "target_dx": name, "dx_label": label}
    return {"metadata": about, "data": {"initial_diagnostic_question": opening, "reasoning": loops}}


def grounded(reasoner: Reasoner, sign: str, asked: str, holds: bool, draw: random.Random) -> list[dict[str, Any]]:
    """Where a sign is seen: leads, a segment in seconds, a range."""
    read = read_sign(asked)
    if sign in LEADS and holds:
        every = [f"Lead {lead}" for lead in (*read.leads, "aVR", "V1")]
        shown = [f"Lead {lead}" for lead in read.leads if reasoner.signs.margin(read, lead) > 0]
        return [question("lead_grounding", "Which of these leads show it?", every, shown)]
    if sign not in ("pr_long", "qrs_long"):
        return []
    wave, what = ("P", "PR interval") if sign == "pr_long" else ("QRS", "QRS duration")
    spans = [(round(start, 2), round(end, 2)) for _, start, end in reasoner.signs.spans(wave)]
    start, end = spans[len(spans) // 2]
    # in the pause after the T wave, from this wave's middle, and longer than any wave
    wrong = [(start - 0.2, start - 0.08), ((start + end) / 2, end + 0.3), (start - 0.3, end + 0.5)]
    options = [f"[{a:.2f}s - {b:.2f}s]" for a, b in ((start, end), *wrong)]
    right = options[0]
    draw.shuffle(options)
    segment = question(
        "wave_grounding", f"In which of these segments is a {wave} wave from beginning to end?", options, right
    )
    value = reasoner.signs.m.intervals["pr" if wave == "P" else "qrs"]
    assert value is not None
    low = 20 * int(value // 20)
    ranges = [f"Below {low}ms", f"[{low}ms - {low + 20}ms]", f"Above {low + 20}ms"]
    text = f"For the selected segment, which range does the measured {what} fall into?"
    return [segment, question("measurement_grounding", text, ranges, ranges[1])]


def main(out: Path) -> None:
    """Write the chains."""
    for number, (name, recording, label) in enumerate(CHAINS, 1):
        path = out / name.lower().replace(" ", "_") / f"{number:03d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(chain(name, recording, label), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
