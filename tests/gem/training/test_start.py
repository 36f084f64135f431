"""A saved model with other classes keeps what it knows of those that both have."""

from __future__ import annotations

import pytest
import torch

import gem
import grounding
from gem.data.corpus import CLASS_LABELS, STATEMENTS, labels_of
from gem.data.samples import Sample
from gem.training.start import start


def test_a_class_of_the_same_name_keeps_its_logit() -> None:
    before = gem.load("gem-nano").float()
    names = ["RVH", *reversed(before.config.class_names)]
    after = start("gem-nano", {"class_names": names}).float().eval()
    assert after.config.class_names == names
    record = grounding.read_record(grounding.sample_path("ptbxl_139"))
    for picture in (False, None):  # without and with the page
        inputs = before.processor(record, picture=picture)
        with torch.no_grad():
            was, now = (model.encode(**inputs).class_logits[0] for model in (before, after))
        torch.testing.assert_close(now[1:], was.flip(0))
    assert torch.isfinite(now[0])


def test_other_settings_of_a_saved_model_stay() -> None:
    with pytest.raises(gem.GemConfigError, match="keeps its text_config"):
        start("gem-nano", {"text_config": {}})


def test_labels_are_ptbxls_statements_and_groups() -> None:
    def sample(*, sub: str, form: str, codes: str) -> Sample:
        return Sample(
            record_id="1",
            patient="1",
            fold=1,
            age=None,
            sex=None,
            superclasses=("MI",),
            subclasses=tuple(sub.split()),
            form=tuple(form.split()),
            rhythm=(),
            scp_codes=dict.fromkeys(codes.split(), 100.0),
            report="",
            source="raw",
            read=lambda: None,  # type: ignore[arg-type, return-value]
        )

    found = labels_of(sample(sub="AMI ISC_ LAFB/LPFB _AVB", form="NST_ NT_", codes="ASMI ISC_ LAFB NST_ NT_ 1AVB"))
    assert found & set(CLASS_LABELS) == {"MI", "AMI", "ASMI", "ISC", "ISC_", "LAFB/LPFB", "LAFB", "AVB", "NST", "NT"}
    # an ischaemia of another place is no unspecific one
    assert "ISC_" not in labels_of(sample(sub="ISCA", form="", codes="ISCAL"))
    assert set(STATEMENTS) < set(CLASS_LABELS)
    assert len(set(CLASS_LABELS)) == len(CLASS_LABELS)
