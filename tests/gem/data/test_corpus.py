"""The texts gem-nano learns from, and the tokenizer made of them."""

from __future__ import annotations

import random

import pytest

from gem.data.corpus import CLASS_LABELS, explanation, impression, labels_of, random_facts
from gem.training.start import MAX_NEW_TOKENS, corpus_tokenizer
from grounding.facts import DIAGNOSES, DIAGNOSIS_TAGS, TAGS


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return corpus_tokenizer()


def test_every_tag_is_one_token_and_survives_decoding(tokenizer) -> None:  # type: ignore[no-untyped-def]
    for tag in TAGS:
        assert len(tokenizer(tag)["input_ids"]) == 1, tag
    prompt, text = explanation(["MI", "CD"], random.Random(3))
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.decode(tokenizer(prompt)["input_ids"]) == prompt


def test_texts_fit_what_is_generated(tokenizer) -> None:  # type: ignore[no-untyped-def]
    pick = random.Random(0)
    lengths = [len(tokenizer(explanation(["MI", "STTC", "CD", "AMI"], pick)[1])["input_ids"]) for _ in range(300)]
    assert max(lengths) < MAX_NEW_TOKENS


def test_the_prompt_never_tells_the_diagnosis() -> None:
    for seed in range(50):
        prompt, text = explanation(["HYP"], random.Random(seed))
        assert DIAGNOSIS_TAGS["HYP"] in text
        assert "<dx" not in prompt
        cited = [tag for tag in TAGS if tag in text and not tag.startswith("<dx")]
        assert all(tag in prompt for tag in cited)


def test_a_text_tells_every_fact_of_its_prompt() -> None:
    for seed in range(50):
        prompt, text = explanation([], random.Random(seed), without_facts=0.0)
        assert all(tag in text for tag in TAGS if tag in prompt)
        assert len(random_facts(random.Random(seed))) >= 6


def test_impressions_are_in_the_heads_classes() -> None:
    assert set(DIAGNOSES) <= set(CLASS_LABELS)
    sure = dict.fromkeys(CLASS_LABELS, 0.0)
    assert impression({**sure, "CD": 0.3, "CLBBB": 0.9}, {"CD": 0.26}) == ["CD", "CLBBB"]
    assert impression({**sure, "STTC": 0.2, "AFIB": 0.6}) == ["STTC", "AFIB"]


def test_labels_of_real_records(ptbxl_like) -> None:  # type: ignore[no-untyped-def]
    from gem.data.ptbxl import load_ptbxl

    samples = load_ptbxl(ptbxl_like, folds=range(1, 9))
    assert all(set(sample.superclasses) <= labels_of(sample) for sample in samples)
    assert any("ISC" in labels_of(sample) for sample in samples)
