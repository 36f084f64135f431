"""The bundled recordings: attributed, small, all there."""

from __future__ import annotations

import pytest

from grounding import EcgRegistryError, sample_path
from grounding.readers import sample_names


def test_every_sample_is_listed_with_its_licence() -> None:
    folder = sample_path().parent
    text = (folder / "README.md").read_text()
    assert all(f"`{name}`" in text for name in sample_names())
    assert "CC BY 4.0" in text
    assert "ODC-BY" in text
    assert len(sample_names()) >= 6
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_500_000


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(EcgRegistryError, match="ptbxl_102"):
        sample_path("nope")
