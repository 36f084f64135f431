"""Sensitivity of ``check`` to single changes in true texts.

    python benchmarks/check_mutations.py --data ROOT --records 300

True texts: the composer's about a record's own facts, with sentences on what is there, where, and what is not. Each is
changed in one number (beyond tolerance), lead, laterality, presence or normal/abnormal word, so that it is false of the
recording. A change counts as flagged when a claim in the changed sentence is ``contradicted`` or ``unsupported``; the
same verdict in an unchanged text is a false alarm.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from pathlib import Path

import grounding
from grounding import STANDARD_LEADS, Finding
from grounding.criteria import lead_states
from grounding.facts import compose, facts, listed, resolve
from grounding.measurement.result import Measurement
from grounding.statements import TOLERANCES

KINDS = ("number", "lead", "laterality", "presence", "word")
LEADWISE = ("st_elevation", "st_depression", "t_wave_inversion", "pathological_q_waves")
PRESENT = ("There is {}.", "The tracing shows {}.", "{} is seen.", "Findings: {}.", "Evidence of {}.")
ABSENT = (
    "No {}.",
    "There is no evidence of {}.",
    "{} is absent.",
    "The tracing does not show {}.",
    "Without {}.",
    "{} is not seen.",
)
PLACES = ("{} in {}.", "There is {} in leads {}.", "{} is seen in {}.", "In leads {1} there is {0}.")
# quantity -> the words that the composer puts after its value
WORDS = {
    "axis": ("normal", "left axis deviation", "right axis deviation"),
    "qtc": ("normal", "prolonged"),
    "pr": ("short", "normal", "prolonged"),
    "qrs": ("normal", "prolonged"),
    "rate": ("slow", "normal", "fast"),
}
SINUS = ("sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia")
_NUMBER = re.compile(r"(-?\d+)( bpm| ms| degrees)")


def true_sentences(measurement: Measurement, seed: int) -> list[tuple[str, Finding | None, tuple[str, ...]]]:
    """(sentence, the finding it is about, the leads it names), all true of the measurement."""
    pick = random.Random(seed)
    findings = grounding.find(measurement)
    items = facts(measurement, findings)
    out: list[tuple[str, Finding | None, tuple[str, ...]]] = [
        (s.text, None, ()) for s in resolve(compose(items, seed=seed), items)
    ]
    there = [finding for finding in findings if finding.present and finding.name not in LEADWISE]
    gone = [finding for finding in findings if finding.present is False]
    if any(finding.name in SINUS for finding in there):  # sinus rhythm at 55 bpm is no "absent sinus rhythm"
        gone = [finding for finding in gone if finding.name != "sinus_rhythm"]
    out += [(_sentence(pick.choice(PRESENT), f.label), f, ()) for f in pick.sample(there, min(3, len(there)))]
    out += [(_sentence(pick.choice(ABSENT), f.label), f, ()) for f in pick.sample(gone, min(4, len(gone)))]
    for name in LEADWISE:
        leads = tuple(lead for lead, held in lead_states(measurement, name).items() if held)
        finding = next(f for f in findings if f.name == name)
        if leads:
            out.append((_sentence(pick.choice(PLACES), finding.label, listed(leads)), finding, leads))
    return out


def _sentence(pattern: str, *words: str) -> str:
    text = pattern.format(*words)
    return text[0].upper() + text[1:]


def mutate(
    measurement: Measurement,
    sentence: str,
    finding: Finding | None,
    leads: tuple[str, ...],
    kind: str,
    pick: random.Random,
) -> str | None:
    """The sentence with one thing made false, or None where this kind of change has no place in it."""
    if kind == "number":
        return _change_number(sentence, pick)
    if kind == "word":
        return _change_word(sentence, pick)
    if kind == "laterality" and not leads and (finding is None or finding.present):
        return _change_side(measurement, sentence)
    if finding is None:
        return None
    if kind == "lead" and leads:
        states = _states(measurement, finding.name)
        # no criterion judges the T wave of aVR, which is negative in most: an inversion there is not false
        judged = [lead for lead in STANDARD_LEADS if lead != "aVR" or finding.name != "t_wave_inversion"]
        wrong = [lead for lead in judged if states.get(lead) is False]
        old = pick.choice(leads)
        return re.sub(rf"\b{old}\b", pick.choice(wrong), sentence, count=1) if wrong else None
    if kind == "presence" and not leads:
        pattern = pick.choice(ABSENT if finding.present else PRESENT)
        return _sentence(pattern, finding.label)
    if kind == "presence":
        return _sentence("There is no {} in {}.", finding.label, listed(leads))
    return None


def _states(measurement: Measurement, name: str) -> dict[str, bool | None]:
    from grounding.criteria.assessment import assess
    from grounding.criteria.knowledge import load_knowledge

    return assess(measurement).lead_states(load_knowledge()[name], STANDARD_LEADS)


def _change_number(sentence: str, pick: random.Random) -> str | None:
    found = list(_NUMBER.finditer(sentence))
    if not found:
        return None
    match = pick.choice(found)
    words = sentence.lower()
    names = {"bpm": "heart_rate", "degrees": "axis"}
    name = names.get(match.group(2).strip()) or next(
        (key for key in ("qtc", "pr", "qrs", "qt") if re.search(rf"\b{key}\b", words)), "pr"
    )
    step = TOLERANCES[name] * pick.uniform(1.5, 5) + 1
    value = int(match.group(1))
    changed = round(value - step) if pick.random() < 0.5 and (value > step or name == "axis") else round(value + step)
    return f"{sentence[: match.start(1)]}{changed}{sentence[match.end(1) :]}"


def _change_word(sentence: str, pick: random.Random) -> str | None:
    """Another category after the value: "(normal)" for "(prolonged)"."""
    said = re.search(r"\((\D+)\)\.$", sentence)
    name = next((name for name in WORDS if re.search(rf"\b{name}\b", sentence.lower())), None)
    if said is None or name is None or said.group(1) not in WORDS[name]:
        return None
    other = pick.choice([word for word in WORDS[name] if word != said.group(1)])
    return f"{sentence[: said.start(1)]}{other})."


def _change_side(measurement: Measurement, sentence: str) -> str | None:
    """Left for right, where the other side has a name and is known to be absent."""
    other = re.sub(r"\b(left|right)\b", lambda m: {"left": "right", "right": "left"}[m.group()], sentence)
    if other == sentence:
        return None
    if "deviated to the" in sentence or ("axis deviation" in sentence and "axis is" in sentence):
        return other
    labels = {f.label: f.present for f in grounding.find(measurement)}
    named = [label for label in labels if label in other]
    return other if named and all(labels[label] is False for label in named) else None


def run(
    measurements: list[Measurement], seed: int = 0
) -> tuple[Counter[str], Counter[str], Counter[str], list[float], list[str]]:
    """Changes made and flagged by kind, verdict counts of unchanged texts, milliseconds per check, and the errors."""
    made: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    times: list[float] = []
    wrong: list[str] = []
    for number, measurement in enumerate(measurements):
        pick = random.Random(seed * 10_000 + number)
        parts = true_sentences(measurement, seed * 10_000 + number)
        text = " ".join(part[0] for part in parts)
        start = time.perf_counter()
        claims = grounding.check(text, measurement)
        times.append(1000 * (time.perf_counter() - start))
        plain["texts"] += 1
        plain.update(claim.verdict for claim in claims)
        alarms = [claim for claim in claims if claim.verdict in ("contradicted", "unsupported")]
        plain["texts_with_alarm"] += bool(alarms)
        wrong += [f"{measurement.record_id}: false alarm: {claim.text!r} {claim.reason}" for claim in alarms]
        for kind in KINDS:
            places = list(range(len(parts)))
            pick.shuffle(places)
            for place in places:
                changed = mutate(measurement, *parts[place], kind, pick)
                if changed is None:
                    continue
                before = " ".join(part[0] for part in parts[:place])
                begin = len(before) + 1 if before else 0
                after = " ".join(part[0] for part in parts[place + 1 :])
                verdicts = grounding.check(f"{before} {changed} {after}".strip(), measurement)
                made[kind] += 1
                if any(
                    claim.verdict in ("contradicted", "unsupported") and begin <= claim.start < begin + len(changed)
                    for claim in verdicts
                ):
                    flagged[kind] += 1
                else:
                    wrong.append(f"{measurement.record_id}: {kind} missed: {parts[place][0]!r} -> {changed!r}")
                break
    return made, flagged, plain, times, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    headers = sorted((options.data / "ptbxl" / "records500").rglob("*.hea"))[: options.records]
    measurements = [grounding.measure(grounding.read_record(header.with_suffix(""))) for header in headers]
    made, flagged, plain, times, wrong = run(measurements, options.seed)
    for kind in KINDS:
        print(f"{kind:12} {flagged[kind]} of {made[kind]} changes flagged")
    print(
        f"{'all':12} {sum(flagged.values())} of {sum(made.values())} = "
        f"{100 * sum(flagged.values()) / sum(made.values()):.2f} %"
    )
    print(f"unchanged: {dict(plain)}")
    print(f"median {sorted(times)[len(times) // 2]:.1f} ms, slowest {max(times):.1f} ms per text")
    print("\n".join(wrong[:40]))


if __name__ == "__main__":
    main()
