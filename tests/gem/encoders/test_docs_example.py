"""docs/add_an_encoder.md, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "add_an_encoder.md"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from gem.encoders import ENCODERS

    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert len(code.splitlines()) < 60
    try:
        exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})
    finally:
        ENCODERS._entries.pop("ecg_gru", None)
    printed = capsys.readouterr().out
    assert "ecg_gru" in printed
    assert "torch.Size([1, 2])" in printed
