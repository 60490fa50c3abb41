"""docs/glossary.md is in alphabetical order, and names the code that each word stands for."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

ROWS = re.findall(r"^\| (\S.*?) \| .+? \| `([\w/]+\.py)(?::(\w+))?` \|", (ROOT / "docs/glossary.md").read_text(), re.M)


def test_every_row_is_read() -> None:
    assert len(ROWS) == len(re.findall(r"^\| ", (ROOT / "docs/glossary.md").read_text(), re.M)) - 1


def test_words_are_in_alphabetical_order() -> None:
    words = [word.lower() for word, _, _ in ROWS]
    assert words == sorted(set(words))


@pytest.mark.parametrize(("word", "path", "name"), ROWS)
def test_a_word_names_code_that_is_there(word: str, path: str, name: str) -> None:
    text = (ROOT / "ncs_cluster" / path).read_text()
    assert not name or re.search(rf"^ *(class |def |self\.|(\w+, )*){name}\b *(\(|:|=|,)", text, re.M)
