"""What all tests share: the folder of real recordings beside the checkout, and the bundled samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings that lies beside the checkout; the test is skipped where it does not."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the recordings that lie beside the project are not here")
    return SHARED
