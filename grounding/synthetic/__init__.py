"""Synthetic 12-lead ECGs in which every boundary is known exactly, for tests and for training delineators.

A dipole rotates in the frontal and horizontal planes; every wave is zero outside its onset and offset. Noise is added
at the nine electrodes, so that I + III = II, aVR = -(I + II) / 2 and the other laws hold with and without it. The wave
shapes are simple; they are not a model of the heart.
"""

from __future__ import annotations

from .beats import RHYTHMS, Conduction, Rhythm
from .generator import synthesize
from .truth import Truth

__all__ = ["RHYTHMS", "Conduction", "Rhythm", "Truth", "synthesize"]
