"""The pages about results and status name every field there is."""

from __future__ import annotations

import re

import msgspec
import pytest

from ncs_cluster import status
from ncs_cluster.sinks import _json
from tests.conftest import ROOT


def named(page: str) -> set[str]:
    """All words set in `code`; of `a[].b` the last."""
    text = (ROOT / "docs" / page).read_text()
    return {word.rpartition(".")[2] for word in re.findall(r"`([^`\n]+)`", text)}


def structs(module: object) -> list[type[msgspec.Struct]]:
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return [each for each in found if each is not msgspec.Struct and each.__module__ == module.__name__]  # type: ignore[attr-defined]


CONTRACTS = [
    pytest.param(page, struct, id=struct.__name__)
    for page, module in (("results.md", _json), ("status.md", status))
    for struct in structs(module)
]


@pytest.mark.parametrize(("page", "struct"), CONTRACTS)
def test_every_field_is_in_its_page(page: str, struct: type[msgspec.Struct]) -> None:
    assert set(struct.__struct_fields__) - named(page) == set()
