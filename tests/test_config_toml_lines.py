"""The line of each key of a TOML document, compared with where each was written."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.config.toml_lines import line_of, lines

DOCUMENT = """\
# a comment [with] = brackets
a = 1
"b.c" = "x # no comment" # a comment
d.e = [ # a list
  1, "]", # of
  2,
]
s = \"\"\"
[not.a.table]
k = "v" \\\"\"\" still
\"\"\"
l = '''
t = 1'''
i = { x = 1, y = [
  2 ] }

[t]
u = 1

[ t . "v w" ] # a header
z=2
'q' = 3
[[many]]
m = 1
"""


def test_each_key_has_the_line_at_which_it_stands() -> None:
    tomllib.loads(DOCUMENT)
    assert lines(DOCUMENT) == {
        ("a",): 2,
        ("b.c",): 3,
        ("d", "e"): 4,
        ("s",): 8,
        ("l",): 12,
        ("i",): 14,
        ("t",): 17,
        ("t", "u"): 18,
        ("t", "v w"): 20,
        ("t", "v w", "z"): 21,
        ("t", "v w", "q"): 22,
        ("many",): 23,
        ("many", "m"): 24,
    }
    assert lines(DOCUMENT.replace("\n", "\r\n")) == lines(DOCUMENT)


def test_a_key_inside_a_value_has_the_line_of_the_value() -> None:
    known = lines(DOCUMENT)
    assert line_of(("i", "x"), known) == 14
    assert line_of(("t", "nope", "deeper"), known) == 17
    assert line_of(("nope",), known) is None


@pytest.mark.parametrize("text", ["a", "[a", "= 3", '"a', "a = [", "[[a]", "a = '''", "\0", "[a]]\n[b", 'a = "\n'])
def test_what_is_no_toml_has_no_lines_and_does_not_hang(text: str) -> None:
    assert lines(text) in ({}, {("a",): 1})


NAMES = st.text("abc-_ .\"'#=[]", min_size=1, max_size=4)
VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.text("ab\"'#=[]{}\n\\ ", max_size=8),
    st.lists(st.text("ab\"'#[]\n", max_size=4), max_size=3),
)


def toml(value: Any) -> str:
    """JSON's texts, lists and numbers are TOML's too."""
    return json.dumps(value, indent=1 if isinstance(value, list) else None)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_any_document_has_each_key_at_the_line_at_which_it_was_written(
    top: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> None:
    written: dict[tuple[str, ...], int] = {}
    text = ""
    for name, value in top.items():
        if name not in tables:
            written[(name,)] = text.count("\n") + 1
            text += f"{json.dumps(name)} = {toml(value)} # {name}\n"
    for table, keys in tables.items():
        written[(table,)] = text.count("\n") + 1
        text += f"[{json.dumps(table)}]\n"
        for name, value in keys.items():
            written[table, name] = text.count("\n") + 1
            text += f"\t{json.dumps(name)}={toml(value)}\n\n"
    tomllib.loads(text)
    assert lines(text) == written
