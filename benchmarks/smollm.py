"""SmolLM2 as it comes, with the measured facts as text and no ECG: what is gem-135m's training worth?

    python benchmarks/smollm.py --data ROOT [--folds 9] [--limit N]

The same records as ``gem evaluate impressions``. The language model reads the sentences that code writes about the
measurement, and chooses among the names of PTB-XL's superclasses; or it is given the choice with an example of each.
Scored: exactly the labelled superclasses, and the perplexity of the cardiologist's sentence after the facts.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import grounding
from gem.checkpoints.adapted import read_decoder
from gem.data.labelled import usable
from gem.data.readings import impression_text, superclasses_of
from gem.evaluation.explanations import diagnosis_accuracy
from gem.metrics.bootstrap import bootstrap
from gem.training.language import read_tokenizer
from grounding.criteria import assess
from grounding.facts import facts, report

DECODER = "smollm2-135m-instruct"
WORDS = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T changes",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
QUESTION = (
    "These values were measured on an ECG.\n{facts}\nWhich of these fit: " + ", ".join(WORDS.values()) + "? "
    "Answer with one or more of these names, and nothing else."
)
EXAMPLES = (
    ("Sinus rhythm at 66 bpm. QRS duration 90 ms. No abnormal finding.", "normal ECG"),
    ("Inferior myocardial infarction in II and aVF: duration of the Q wave 45 ms in II.", "myocardial infarction"),
    ("T-wave inversion in V5 and V6.", "ST/T changes"),
    ("QRS duration 150 ms (prolonged). Complete left bundle branch block.", "conduction disturbance"),
    ("Left ventricular hypertrophy: S wave -3.1 mV in V3.", "hypertrophy"),
)


def described(record: grounding.ECGRecord) -> str:
    """The sentences that code writes about a recording."""
    assessment = assess(grounding.measure(record))
    items = facts(assessment.measurement, tuple(assessment.findings.values()))
    return " ".join(sentence.text for sentence in report("", items, assessment))


def asked(tokenizer: Any, text: str, examples: bool) -> list[int]:
    """Token ids of the question in the model's own conversation, with examples before it or without."""
    messages = []
    for one, answer in EXAMPLES if examples else ():
        messages += [
            {"role": "user", "content": QUESTION.format(facts=one)},
            {"role": "assistant", "content": answer},
        ]
    messages.append({"role": "user", "content": QUESTION.format(facts=text)})
    written = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(written)["input_ids"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask about every record, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--limit", type=int)
    options = parser.parse_args(arguments)
    tokenizer = read_tokenizer(DECODER)
    config, weights = read_decoder(DECODER)
    model = LlamaForCausalLM(LlamaConfig(**config)).eval()
    model.load_state_dict(weights, strict=False)  # lm_head is the embedding's
    model.tie_weights()
    samples, _ = usable(options.data, tuple(options.folds))
    samples = samples[: options.limit]
    labels = [superclasses_of(sample.scp_codes) for sample in samples]
    named: dict[bool, list[frozenset[str]]] = {False: [], True: []}
    losses = []
    with torch.inference_mode():
        for sample in samples:
            text = described(sample.record)
            for examples, sets in named.items():
                ids = torch.tensor([asked(tokenizer, text, examples)])
                out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
                said = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).lower()
                sets.append(frozenset(name for name, words in WORDS.items() if words.lower() in said))
            before, after = (tokenizer(part)["input_ids"] for part in (f"{text} ", impression_text(sample.scp_codes)))
            whole = torch.tensor([[*before, *after]])
            logits = model(whole).logits[0, len(before) - 1 : -1].float()
            losses.append((float(torch.nn.functional.cross_entropy(logits, whole[0, len(before) :])), len(after)))
    for examples, sets in named.items():
        hits = np.array([a == b for a, b in zip(sets, labels, strict=True)], float)
        low, high = bootstrap(lambda rows, hits=hits: float(hits[rows].mean()), len(hits))
        told = f"{'with an example of each' if examples else 'asked as it is':24s}"
        print(f"{told} label set exact {100 * hits.mean():.1f} % [{100 * low:.1f}-{100 * high:.1f}]")
        print(f"  {'most often':22s} {Counter(map(tuple, map(sorted, sets))).most_common(3)}")
    commonest = Counter(labels).most_common(1)[0][0]
    print(f"{'commonest set':24s} label set exact {100 * diagnosis_accuracy([commonest] * len(labels), labels):.1f} %")
    of_each, tokens = np.array(losses).T
    perplexity = np.exp((of_each * tokens).sum() / tokens.sum())
    print(f"perplexity of the cardiologist's sentence {perplexity:.2f}")
    print(f"{len(samples)} records")


if __name__ == "__main__":
    main()
