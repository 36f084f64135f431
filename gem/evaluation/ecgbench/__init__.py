"""ECGBench (PULSE): its nine files, read as published, with the authors' scoring and a strict one.

References:
    Liu et al., Teach multimodal LLMs to comprehend electrocardiographic images, arXiv 2410.19008.
"""

from . import arena, choices, multilabel, report  # noqa: F401  (they register themselves)
from .files import SOURCE, read_file

__all__ = ["SOURCE", "read_file"]
