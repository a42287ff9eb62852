"""docs/pictures are what the command prints of the recorded kills now (`make pictures`)."""

from xml.etree import ElementTree

import pytest

from pictures.draw import COMMANDS, PICTURES, drawn


@pytest.fixture(scope="module")
def pictures() -> dict[str, str]:
    return drawn()


@pytest.mark.parametrize("name", [*COMMANDS, "trace"])
def test_it_is_what_the_command_prints(pictures: dict[str, str], name: str) -> None:
    file = PICTURES / f"{name}.svg"
    assert file.read_text() == pictures[name], f"{file}: make pictures"


@pytest.mark.parametrize("name", [*COMMANDS, "trace"])
def test_it_needs_nothing_from_elsewhere(name: str) -> None:
    text = (PICTURES / f"{name}.svg").read_text()
    ElementTree.fromstring(text)
    assert "url(http" not in text
    assert "@import" not in text
