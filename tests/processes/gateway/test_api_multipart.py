"""Forms with files: against the parser of Python's email package, and garbage."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.processes.gateway.apis.multipart import BadForm, Part, parse

NAMES = st.text("abcdefghij_-", min_size=1, max_size=8)
BOUNDARIES = st.text("abcXYZ019'_+-", min_size=1, max_size=70)


def written(boundary: str, parts: list[Part]) -> bytes:
    lines = b""
    for part in parts:
        filename = "" if part.filename is None else f'; filename="{part.filename}"'
        lines += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"{filename}\r\n\r\n'.encode() + part.data + b"\r\n"
        )
    return lines + f"--{boundary}--\r\n".encode()


@given(BOUNDARIES, st.lists(st.builds(Part, NAMES, st.none() | NAMES, st.binary(max_size=60)), min_size=1, max_size=6))
def test_what_was_written_is_read(boundary: str, parts: list[Part]) -> None:
    if any(f"--{boundary}".encode() in part.data for part in parts):
        return
    content_type = f'multipart/form-data; boundary="{boundary}"'
    body = written(boundary, parts)
    assert parse(body, content_type) == parts
    assert parse(b"a preamble\r\n" + body + b"an epilogue", content_type) == parts


@given(st.lists(st.tuples(NAMES, st.text("abc \n", max_size=20)), min_size=1, max_size=4))
def test_pythons_own_parser_reads_the_same(fields: list[tuple[str, str]]) -> None:
    parts = [Part(name, None, text.replace("\n", "\r\n").encode()) for name, text in fields]
    body = written("frontier", parts)
    message = email.message_from_bytes(
        b"Content-Type: multipart/form-data; boundary=frontier\r\n\r\n" + body, policy=email.policy.HTTP
    )
    theirs = [
        (each.get_param("name", header="content-disposition"), each.get_payload(decode=True)) for each in message.iter_parts()
    ]
    assert [(part.name, part.data) for part in parse(body, "multipart/form-data; boundary=frontier")] == theirs


@given(st.binary(max_size=200), st.text(max_size=60))
def test_garbage_is_a_bad_form_and_nothing_else(body: bytes, content_type: str) -> None:
    for header in (content_type, "multipart/form-data; boundary=b" + content_type):
        with pytest.raises(BadForm):
            parse(body, header)


@given(st.data())
def test_a_damaged_form_never_raises_anything_else(data: st.DataObject) -> None:
    body = bytearray(written("b", [Part("image", "x.jpg", b"\r\n--c\r\n--b"), Part("k", None, b"v")]))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=6)):
        body[place] = data.draw(st.integers(0, 255))
    try:
        parts = parse(bytes(body), "multipart/form-data; boundary=b")
    except BadForm:
        return
    assert sum(len(part.data) for part in parts) <= len(body)


def test_a_cut_form_is_refused_wherever_it_is_cut() -> None:
    body = written("b", [Part("image", "x.jpg", b"0123"), Part("k", None, b"v")])
    for length in range(len(body) - len(b"--\r\n")):
        with pytest.raises(BadForm):
            parse(body[:length], "multipart/form-data; boundary=b")


def test_names_may_be_unquoted_as_dotnet_writes_them() -> None:
    body = (
        b"--d-1\r\nContent-Type: image/jpeg\r\n"
        b"Content-Disposition: form-data; name=image; filename=a.jpg; filename*=utf-8''a.jpg\r\n\r\nX\r\n--d-1--\r\n"
    )
    assert parse(body, 'multipart/form-data; boundary="d-1"') == [Part("image", "a.jpg", b"X")]


def test_a_form_has_64_fields_at_most() -> None:
    assert len(parse(written("b", [Part("k", None, b"")] * 64), "multipart/form-data; boundary=b")) == 64
    with pytest.raises(BadForm, match="more than 64"):
        parse(written("b", [Part("k", None, b"")] * 65), "multipart/form-data; boundary=b")
