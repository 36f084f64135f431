"""Models from folders: ``load`` reads our layout and the published ones, ``convert`` writes ours.

Published layouts are those of GEM, PULSE, ECG-CoCa, MEIT and two foundation encoders.
"""

from ..snapshots import WEIGHTS
from .building import on_meta
from .loading import load
from .report import LoadReport, account

__all__ = ["WEIGHTS", "LoadReport", "account", "load", "on_meta"]
