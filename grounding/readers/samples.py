"""The bundled recordings."""

from __future__ import annotations

from pathlib import Path

from ..errors import EcgRegistryError

_FOLDER = Path(__file__).parent.parent / "samples"
DEFAULT_SAMPLE = "ptbxl_102"


def sample_names() -> list[str]:
    """Names of the bundled recordings; ``grounding/samples/README.md`` describes them.

    Example:
        >>> "ptbxl_102" in sample_names()
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.hea"))


def sample_path(name: str | None = None) -> Path:
    """Path of a bundled recording, for ``read_record``.

    Args:
        name: one of ``sample_names()``; by default the one used in the documentation.

    Raises:
        EcgRegistryError: no bundled recording has that name.

    Example:
        >>> sample_path("ptbxl_102").name
        'ptbxl_102.hea'
    """
    path = _FOLDER / f"{name or DEFAULT_SAMPLE}.hea"
    if (name or DEFAULT_SAMPLE) not in sample_names():
        raise EcgRegistryError(
            f"no bundled recording is called {name!r}", remedy=f"there are {', '.join(sample_names())}"
        )
    return path
