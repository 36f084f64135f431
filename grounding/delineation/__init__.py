"""From leads to the boundaries of P, QRS and T: delineators by name, and the fusion of leads.

``learned`` is a small network trained on cardiologists' annotations; ``classical`` needs no weights; ``nk_*`` are
NeuroKit2's methods, for comparison.
"""

from . import classical, learned  # noqa: F401  (they register themselves)
from .types import Boundaries, Delineator, delineators

__all__ = ["Boundaries", "Delineator", "delineators"]
