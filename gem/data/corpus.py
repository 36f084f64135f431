"""Texts from which a model learns to write: random sets of facts, and the composer's explanation of each.

The facts are drawn independently of the record, so that a model can learn a diagnosis only from the encoders' tokens,
and learns to describe any set of facts, rare ones included.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from grounding.facts import DIAGNOSES, FINDING_TAGS, TAGS, VALUES, Fact, compose, prompt

from .samples import SUPERCLASSES, Sample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# PTB-XL's diagnostic statements with 20 or more records in folds 1-8 that are not a class of their own as a subclass
STATEMENTS = (*("ASMI", "ALMI", "ILMI", "INJAS", "ISC_", "ISCAL", "ISCAS", "ISCIL", "ISCIN", "LAFB", "LPFB"),)
# classes of the classification head: the superclasses, then every frequent subclass, form and rhythm label, and the
# statements within a subclass
CLASS_LABELS = (
    *SUPERCLASSES,
    *("AMI", "IMI", "LMI", "ISC", "CLBBB", "CRBBB", "IRBBB", "LAFB/LPFB", "AVB", "IVCD", "LVH", "LAO/LAE"),
    *("NST", "NDT", "ABQRS", "STD", "PVC", "PAC", "LOWT", "QWAVE", "LPR", "INVT", "VCLVH", "LVOLT"),
    *("SR", "AFIB", "SARRH", "STACH", "SBRAD", "SVARR", "PACE", "NT", "DIG"),
    *STATEMENTS,
)
_MERGED = {"ISCA": "ISC", "ISCI": "ISC"}
_WORDS = {
    "rate": ("slow", "normal", "normal", "fast"),
    "axis": ("normal", "normal", "left", "right", ""),
    "pr": ("short", "normal", "normal", "prolonged"),
    "qrs": ("normal", "normal", "prolonged", ""),
    "qt": ("",),
    "qtc": ("normal", "normal", "prolonged", ""),
}
_GROUPS = ("rate", "conduction", "axis", "hypertrophy", "infarction", "ischaemia", "qt", "voltage", "quality")


def labels_of(sample: Sample) -> set[str]:
    """The labels of a record, at any likelihood: superclasses, subclasses, form and rhythm, and other SCP statements.

    PTB-XL's ``NST_`` is ``NST`` here, ``_AVB`` is ``AVB``, and ``ISC`` is any of the subclasses ``ISC_``, ``ISCA`` and
    ``ISCI``; the statements are called as in PTB-XL.

    Args:
        sample: the record.
    """
    kinds = {*sample.superclasses, *sample.subclasses, *sample.form, *sample.rhythm}
    groups = {_MERGED.get(kind, kind) for kind in (kind.strip("_") for kind in kinds)}
    # a code that is called like a group, such as AMI, is one of several that make it
    return groups | (set(sample.scp_codes) - (set(CLASS_LABELS) - set(STATEMENTS)))


def random_facts(pick: random.Random) -> list[Fact]:
    """A random set of facts like those of ``grounding.facts``, without values; each may be missing, normal or abnormal.

    Args:
        pick: source of random numbers.
    """
    out = []
    if pick.random() < 0.9:
        word = pick.choice(("named", "named", "regular", "irregular"))
        out.append(Fact("<rhythm>", "", word, (), "rhythm"))
    for name, (_, label) in VALUES.items():
        if pick.random() < 0.15:
            out.append(Fact(f"<no_{name}>", "", "", (), "missing", label))
        else:
            out.append(Fact(f"<{name}>", "", pick.choice(_WORDS[name]), (), "number"))
    count = min(len(FINDING_TAGS), int(pick.expovariate(0.5)))
    return out + [Fact(tag, "", pick.choice(_GROUPS), (), "finding") for tag in FINDING_TAGS[:count]]


def impression(probabilities: Mapping[str, float], thresholds: Mapping[str, float] | None = None) -> list[str]:
    """The diagnoses of the encoders: superclasses over their thresholds, then the details that texts have words for.

    NORM is given alone, and only if no other superclass is more probable; if no class is over its threshold, the most
    probable one is given.

    Args:
        probabilities: class -> probability, superclasses at least.
        thresholds: class -> smallest probability; 0.5 for classes without one.

    Example:
        >>> impression({"NORM": 0.2, "MI": 0.7, "STTC": 0.6, "CD": 0.1, "HYP": 0.1, "AMI": 0.8})
        ['MI', 'STTC', 'AMI']
        >>> impression({"NORM": 0.4, "MI": 0.1, "STTC": 0.3, "CD": 0.1, "HYP": 0.1})
        ['NORM']
    """
    limits = thresholds or {}
    top = max(SUPERCLASSES, key=lambda label: probabilities[label])
    if top == "NORM":
        return ["NORM"]
    over = [label for label in DIAGNOSES if label != "NORM" and probabilities.get(label, 0.0) >= limits.get(label, 0.5)]
    return over if set(over) & set(SUPERCLASSES) else [top, *over]


def explanation(diagnoses: Sequence[str], pick: random.Random, without_facts: float = 0.15) -> tuple[str, str]:
    """A random prompt and the text that answers it.

    Args:
        diagnoses: what the encoders suggest, see ``impression``.
        pick: source of random numbers.
        without_facts: probability of a prompt without facts.
    """
    items = [] if pick.random() < without_facts else random_facts(pick)
    return prompt(items), compose(items, diagnoses, seed=pick.randrange(2**31))


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on the composed texts; every fact tag is one token.

    Args:
        texts: prompts and explanations.
        vocab_size: largest number of entries, tags and the 256 bytes included.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet)
    )
    # tags are ordinary added tokens, so that decoding with skip_special_tokens keeps them
    core.add_tokens(list(TAGS))
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
