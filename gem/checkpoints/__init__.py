"""Models from folders: ``load`` for our layout and the published ones (GEM, PULSE, ECG-CoCa, MEIT, two foundation encoders), ``convert`` between them."""

from .building import on_meta
from .loading import WEIGHTS, load
from .report import LoadReport, account

__all__ = ["WEIGHTS", "LoadReport", "account", "load", "on_meta"]
