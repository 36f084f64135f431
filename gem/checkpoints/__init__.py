"""Models from folders: ``load`` reads our layout and the published ones, ``convert`` writes ours.

Published layouts are those of GEM, PULSE, ECG-CoCa, MEIT and two foundation encoders.
"""

from .building import on_meta
from .loading import WEIGHTS, load
from .report import LoadReport, account

__all__ = ["WEIGHTS", "LoadReport", "account", "load", "on_meta"]
