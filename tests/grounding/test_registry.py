"""Registry: decorators, unknown names, replacement; and every reader in the readers' registry is described."""

from __future__ import annotations

import pytest

from grounding import EcgRegistryError
from grounding.readers import readers
from grounding.registry import Registry


def test_register_by_name_and_by_decorator() -> None:
    things: Registry[object] = Registry("thing")

    @things.register
    def one() -> int:
        return 1

    things.register(2, name="two")
    assert things["one"] is one
    assert things["two"] == 2
    assert things.list() == ["one", "two"]
    assert things.list("t*") == ["two"]
    assert "one" in things
    assert len(things) == 2


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(EcgRegistryError, match=r"no reader is called 'wfbd'.*wfdb") as caught:
        readers["wfbd"]
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("name", [5, None, ["wfdb"], 1.5])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(EcgRegistryError, match="no reader is called"):
        readers[name]  # type: ignore[index]


def test_replacing_warns() -> None:
    things: Registry[int] = Registry("thing")
    things.register(1, name="x")
    with pytest.warns(UserWarning, match="replaces"):
        things.register(2, name="x")
    assert things["x"] == 2


def test_a_nameless_entry_is_refused() -> None:
    with pytest.raises(TypeError, match="needs register"):
        Registry("thing").register(3)


@pytest.mark.parametrize("name", readers.list())
def test_every_reader_is_described(name: str) -> None:
    reader = readers[name]
    assert reader.name == name
    assert reader.text
    assert reader.extensions or reader.sniff
    assert all(extension.startswith(".") and extension == extension.lower() for extension in reader.extensions)
