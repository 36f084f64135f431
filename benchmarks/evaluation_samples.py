"""Write the items that ship with the benchmarks: ours, in the layout of each benchmark's authors.

    python benchmarks/evaluation_samples.py gem/evaluation/samples

They are about the ten bundled recordings, and say what their data sets' labels say (see grounding/samples/README.md).
The questions are ours; none is of a published benchmark. What LUDB and the QT Database hold is made by
``grounding.synthetic``, whose boundaries are known; 12SL's table holds NeuroKit2's intervals of lead II, as those of
another program. The pictures are drawn.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import neurokit2 as nk
import numpy as np
import wfdb

import grounding
from gem.evaluation.ecgbench.report import report_by_rules
from gem.evaluation.grounded import lead_sentences
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.evaluation.items import Item
from grounding.synthetic import synthesize

# superclasses; CODE-15's labels; CPSC2018's; the rhythm or conduction that a letter stands for; report
ECGS: dict[str, tuple[str, str, str, str, str]] = {
    "ptbxl_13": ("NORM", "NORM", "NORM", "Sinus rhythm, normal ECG", "Sinus rhythm. Normal ECG."),
    "ptbxl_102": (
        "CD, STTC",
        "1dAVb",
        "I-AVB",
        "First-degree AV block",
        "Sinus rhythm. First-degree AV block. ST depression.",
    ),
    "ptbxl_139": ("MI", "ABNORMAL", "NORM", "Inferior infarction", "Sinus rhythm. Inferior myocardial infarction."),
    "ptbxl_182": (
        "CD, MI",
        "1dAVb",
        "I-AVB",
        "First-degree AV block",
        "Sinus rhythm. First-degree AV block. Left anterior fascicular block.",
    ),
    "ptbxl_286": (
        "CD",
        "LBBB",
        "LBBB",
        "Complete left bundle branch block",
        "Sinus rhythm. Complete left bundle branch block.",
    ),
    "ptbxl_298": (
        "HYP, MI, STTC",
        "ABNORMAL",
        "STD",
        "Left ventricular hypertrophy",
        "Sinus rhythm. Left ventricular hypertrophy. ST depression. T wave inversion.",
    ),
    "ptbxl_330": ("NORM", "AF", "AF", "Atrial fibrillation", "Atrial fibrillation."),
    "ptbxl_413": (
        "CD, STTC",
        "1dAVb",
        "I-AVB, PVC",
        "Premature ventricular beats",
        "Sinus rhythm. First-degree AV block. Premature ventricular complexes.",
    ),
    "ptbxl_424": (
        "CD",
        "RBBB",
        "RBBB",
        "Complete right bundle branch block",
        "Sinus rhythm. Complete right bundle branch block. Left anterior fascicular block.",
    ),
    "ludb_13": (
        "CD, MI",
        "1dAVb",
        "I-AVB",
        "First-degree AV block",
        "Sinus rhythm. First-degree AV block.",
    ),
}
CHOICES = tuple(dict.fromkeys(told[3] for told in ECGS.values()))
REQUEST = "Write the report of this ECG."


def picture(name: str) -> str:
    """The recording, by the name that PTB-XL's pictures have."""
    return f"{int(name.split('_')[1]):05d}_hr-0.png" if name.startswith("ptbxl") else f"{name}.hea"


def talk(name: str, number: int, *turns: tuple[str, str], key: str = "id") -> dict[str, Any]:
    said = []
    for question, answer in turns:
        said += [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {key: f"sample-{number}", "image": picture(name), "conversations": said}


def letters(name: str, number: int, n: int, key: str = "id") -> dict[str, Any]:
    """A question with ``n`` options in an order of its own."""
    draw, right = random.Random(number), ECGS[name][3]
    shown = [right, *draw.sample([one for one in CHOICES if one != right], min(n, len(CHOICES)) - 1)]
    shown += ["Atrial flutter", "Complete AV block"][: n - len(shown)]
    draw.shuffle(shown)
    lines = [f"{'ABCDEFGH'[place]}. {text}" for place, text in enumerate(shown)]
    letter = "ABCDEFGH"[shown.index(right)]
    answer = letter if key == "No" else f"{letter}. {right}"
    return talk(name, number, ("Which of these does the ECG show?\n" + "\n".join(lines), answer), key=key)


def interpretation(name: str) -> tuple[str, str]:
    """A text with the label's diagnoses and the measured leads, and the measured values as text."""
    inputs, record = Inputs(BUNDLED), f"{name}.hea"
    report = report_by_rules(Item("", "report", "", "", (), (), (record,)), inputs)
    measurement = inputs.measurement(record)
    table = measurement.lead_features
    values = {}
    for lead, rows in table.groupby("lead", sort=False):
        numbers = rows.select_dtypes("number").drop(columns=["beat"], errors="ignore").round(2)
        values[str(lead)] = {key: [None if np.isnan(x) else x for x in numbers[key].tolist()[:3]] for key in numbers}
    return f"{report} {lead_sentences(measurement)} {ECGS[name][4]}", json.dumps(values)


def main(out: Path) -> None:
    def write(name: str, rows: list[dict[str, Any]]) -> None:
        path = out / name
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    out.mkdir(parents=True, exist_ok=True)
    ecgs = list(enumerate(ECGS.items()))
    for file, place, asked in (
        ("ptb-test", 0, "Which superclasses of PTB-XL has this ECG: NORM, MI, STTC, CD, HYP? Name all."),
        ("code15-test", 1, "Which has this ECG: 1dAVb, RBBB, LBBB, SB, ST, AF? Else say NORM or ABNORMAL."),
        ("cpsc-test", 2, "Which has this ECG: NORM, AF, I-AVB, LBBB, RBBB, PAC, PVC, STD, STE? Name all."),
    ):
        write(f"{file}.json", [talk(name, n, (asked, told[place])) for n, (name, told) in ecgs])
    write("csn-test-no-cot.json", [letters(name, n, 8) for n, (name, _) in ecgs])
    write("g12-test-no-cot.json", [letters(name, n + 100, 8) for n, (name, _) in ecgs])
    write("mmmu-ecg.json", [letters(name, n + 200, 4, "No") for n, (name, _) in ecgs])
    closing = "Only answer based on the given options without any explanation."
    asked = f"Does this ECG show sinus rhythm? Options: yes, no, not sure. {closing}"
    write(
        "ecgqa-test.json",
        [talk(name, n, (asked, "no" if "fibrillation" in told[4] else "yes")) for n, (name, told) in ecgs],
    )
    rows: list[dict[str, Any]] = []
    for n, (name, told) in ecgs:
        turns = [("What is the rhythm?", told[4].split(".")[0] + "."), ("What else does the ECG show?", told[4])]
        said = [{"question": question, "answer": answer} for question, answer in turns]
        rows.append({"id": f"sample-{n}", "image": picture(name), "conversations": said})
    write("arena.json", rows)
    user = [{"type": "image"}, {"type": "text", "text": REQUEST}]
    rows = []
    for _, (name, told) in ecgs:
        said = [{"role": "user", "content": user}, {"role": "assistant", "content": told[4]}]
        rows.append({"id": f"ptb-report-{picture(name)}", "image": picture(name), "conversation": said})
    write("ptb-test-report.json", rows)
    for file, name_of in (("ecg-grounding-test-ptbxl", "ptbxl"), ("ecg-grounding-test-mimiciv", "mimiciv")):
        rows = []
        for n, (name, told) in ecgs:
            text, values = interpretation(name)
            row = talk(name, n, ("Interpret this ECG lead by lead and give a diagnosis with its evidence.", text))
            rows.append({**row, "id": f"{name_of}-{n}", "ecg": f"{name}.hea", "machine_measurements": values})
            rows[-1]["report"] = told[4]
        write(f"{file}.json", rows)
    for file, data_set in (("ptbxl_test", "ptbxl"), ("mimic_test", "mimic")):
        rows = []
        for n, (name, told) in ecgs:
            said = [{"role": "user", "content": ""}, {"role": "assistant", "content": told[4].lower()}]
            rows.append({"dataset": data_set, "id": f"{data_set}-{n}", "ecg_path": f"{name}.hea", "messages": said})
        write(f"{file}.jsonl", rows)
    rows = []
    for n, (name, told) in ecgs:
        said = [{"from": "human", "value": f"<ecg>\n{REQUEST}"}, {"from": "gpt", "value": told[4]}]
        rows.append({"id": f"sample-{n}", "ecg": f"{name}.hea", "conversations": said})
    write("ecg_chat_test.json", rows)
    questions(write)
    delineations(out)
    device(out)
    pictures(out)


def questions(write: Any) -> None:
    """ECG-QA's layout: one ECG and two, yes or no and lists."""
    fibrillates = {13: "no", 330: "yes", 286: "no", 424: "no"}
    rows = []
    for number, answer in fibrillates.items():
        row = {"template_id": 1, "question_type": "single-verify", "attribute_type": "scp_code"}
        asked = "Does this ECG show symptoms of atrial fibrillation?"
        rows.append({**row, "question": asked, "answer": [answer], "ecg_id": [number]})
    for number, answer in {286: "complete left bundle branch block", 424: "complete right bundle branch block"}.items():
        row = {"template_id": 2, "question_type": "single-choose", "attribute_type": "scp_code"}
        asked = "Which does this ECG show, complete left bundle branch block or complete right bundle branch block?"
        rows.append({**row, "question": asked, "answer": [answer], "ecg_id": [number]})
    for pair, answer in {(13, 330): "yes", (330, 13): "no", (13, 286): "no", (286, 330): "yes"}.items():
        row = {"template_id": 3, "question_type": "comparison_irrelevant-verify", "attribute_type": "scp_code"}
        asked = "Does the second ECG show symptoms of atrial fibrillation, unlike the first ECG?"
        rows.append({**row, "question": asked, "answer": [answer], "ecg_id": list(pair)})
    for n, one in enumerate(rows):
        one |= {"question_id": n, "sample_id": n, "attribute": []}
    write("ecg_qa.json", rows)


def _marks(waves: Any, fs: float) -> tuple[list[int], list[str]]:
    marks: list[tuple[int, int, str]] = []
    for row in waves.itertuples():
        symbol = {"P": "p", "QRS": "N", "T": "t"}[row.wave]
        for order, (at, sign) in enumerate(((row.onset, "("), (row.peak, symbol), (row.offset, ")"))):
            marks.append((round(at), order, sign))
    marks.sort(key=lambda one: one[0])
    return [at for at, _, _ in marks], [sign for _, _, sign in marks]


def _write_marks(path: Path, samples: list[int], symbols: list[str], fs: int) -> None:
    """wfdb writes extensions of letters alone."""
    wfdb.wrann(path.stem, "marks", np.array(samples), np.array(symbols), fs=fs, write_dir=str(path.parent))
    path.with_suffix(".marks").replace(path)


def delineations(out: Path) -> None:
    """Two records of LUDB's kind, marked in every lead, and ten of the QT Database's, of two leads."""
    (out / "ludb").mkdir(exist_ok=True)
    (out / "qtdb").mkdir(exist_ok=True)
    options: dict[str, Any] = {"write_dir": str(out / "ludb")}
    for number, rate_bpm in ((1, 68), (2, 93)):
        record, truth = synthesize(rate_bpm, noise_snr_db=25, seed=number, duration_s=6.0)
        samples, symbols = _marks(truth.waves, record.fs)
        names = [lead.lower() for lead in record.leads]
        signal = np.asarray(record.signal, float).T
        wfdb.wrsamp(str(number), 500, ["mV"] * 12, names, signal, fmt=["16"] * 12, **options)
        for lead in names:
            _write_marks(out / "ludb" / f"{number}.{lead}", samples, symbols, 500)
    options = {"write_dir": str(out / "qtdb")}
    for n in range(10):
        record, truth = synthesize(55 + 5 * n, qrs_ms=85 + 3 * n, noise_snr_db=25, seed=n, fs=250.0, duration_s=6.0)
        samples, symbols = _marks(truth.waves, 250.0)
        two = np.asarray(record.signal, float)[[1, 10]].T
        wfdb.wrsamp(f"sel9{n:02d}", 250, ["mV"] * 2, ["II", "V5"], two, fmt=["16"] * 2, **options)
        _write_marks(out / "qtdb" / f"sel9{n:02d}.q1c", samples, symbols, 250)


def device(out: Path) -> None:
    """NeuroKit2's intervals of lead II of the bundled records of PTB-XL, in the layout of 12SL's table."""
    with (out / "12sl_features.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ecg_id", "pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms", "rr_ms"])
        for name in ECGS:
            if not name.startswith("ptbxl"):
                continue
            record = grounding.read_record(BUNDLED / f"{name}.hea")
            lead = nk.ecg_clean(record.signal[record.leads.index("II")], record.fs)
            peaks = nk.ecg_peaks(lead, record.fs)[1]["ECG_R_Peaks"]
            found = {
                key: np.array(row, float)
                for key, row in nk.ecg_delineate(lead, peaks, record.fs, "prominence")[1].items()
            }
            onset, offset = found["ECG_R_Onsets"], found["ECG_R_Offsets"]
            spans = (onset - found["ECG_P_Onsets"], offset - onset, found["ECG_T_Offsets"] - onset)
            pr, qrs, qt = (1000 * float(np.nanmedian(span)) / record.fs for span in spans)
            rr = 1000 * float(np.median(np.diff(peaks))) / record.fs
            values = [pr, qrs, qt, qt / np.sqrt(rr / 1000), rr]
            writer.writerow([name.split("_")[1], *(round(value) if np.isfinite(value) else "" for value in values)])


def pictures(out: Path) -> None:
    """Drawn pages of the bundled recordings, and the stretches that are printed there."""
    for folder in ("photos", "truth"):
        (out / "digitisation" / folder).mkdir(parents=True, exist_ok=True)
    for name in ECGS:
        record = grounding.read_record(BUNDLED / f"{name}.hea")
        page = grounding.render(record, dpi=150).convert("RGB").quantize(32, dither=0)  # 60 KB each
        page.save(out / "digitisation" / "photos" / f"{name}.png", optimize=True)
        printed = np.full((12, 1000), np.nan)
        signal = np.asarray(record.resample(100).signal, float)[:, :1000]
        for row in range(12):  # the usual page: three rows, four columns of 2.5 s, and lead II along the bottom
            start = 250 * (row // 3)
            stretch = slice(None) if record.leads[row] == "II" else slice(start, start + 250)
            printed[row, stretch] = signal[row, stretch]
        wfdb.wrsamp(
            name,
            100,
            ["mV"] * 12,
            list(record.leads),
            printed.T,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(out / "digitisation" / "truth"),
        )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
