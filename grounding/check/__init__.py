"""Read the statements of any text about an ECG and hold each against the measurement."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from .tolerances import TOLERANCES
from .verify import check

if TYPE_CHECKING:
    from ..evidence import Claim
    from ..measurement.result import Measurement

__all__ = ["TOLERANCES", "check"]


class _CallableModule(types.ModuleType):
    """``grounding.check`` is the function's public name and this module's: importing the module must not hide the function."""

    def __call__(self, text: str, measurement: Measurement) -> list[Claim]:
        return check(text, measurement)

    def __repr__(self) -> str:
        return f"<function check of {self.__name__}>"


_module: Any = sys.modules[__name__]
_module.__class__ = _CallableModule
