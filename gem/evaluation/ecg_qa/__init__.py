"""ECG-QA (Oh et al., NeurIPS 2023): questions about one or two ECGs of PTB-XL.

The items are read as published: folders of JSON lists with ``template_id``, ``question_type``, ``question``,
``answer`` and ``ecg_id``. ``published`` is exact agreement of the joined answer, as its authors score language models;
``strict`` compares sets of labels that are read anywhere in the answer.
"""

from __future__ import annotations

from .answering import answer_by_rules, not_read
from .items import load_items, published_score, strict_score
from .numeric import NORMAL_MS, numeric_features

__all__ = [
    "NORMAL_MS",
    "answer_by_rules",
    "load_items",
    "not_read",
    "numeric_features",
    "published_score",
    "strict_score",
]
