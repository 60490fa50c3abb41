"""A blob's header is believed only as far as it can be checked."""

from __future__ import annotations

import operator
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ncs_cluster.xlink.blob import Blob, BlobError
from tests.xlink.blobs import FP16, FP32, NC, NCHW, NHWC, U8, Entry, make, small

FACES = make([Entry("data", (1, 3, 300, 300))], [Entry("detection_out", (1, 1, 200, 7), FP32)], stages=91)
TWO = make(
    [Entry("left", (1, 8, 6, 3), FP16, NHWC), Entry("right", (1, 3, 5, 7), U8, NCHW)],
    [Entry("cls", (1, 7), FP32, NC), Entry("heat", (1, 2, 4, 4), FP16)],
)


def test_a_blob_tells_its_inputs_and_outputs_and_what_it_needs():
    blob = Blob.parse(FACES)
    (data,), (out,) = blob.inputs, blob.outputs
    assert (data.name, data.dtype, data.layout, data.shape, data.offset, data.size) == (
        "data",
        "u8",
        "NCHW",
        (1, 3, 300, 300),
        0,
        270_000,
    )
    assert data.strides == (270_000, 90_000, 300, 1)
    assert (out.name, out.dtype, out.layout, out.shape, out.size) == ("detection_out", "fp32", "NCHW", (1, 1, 200, 7), 5600)
    assert (blob.version, blob.stages, blob.shaves, blob.slices) == ((6, 0), 91, 7, 9)
    assert (blob.inputs_size, blob.outputs_size) == (270_000, 5600)


def test_several_inputs_and_outputs_lie_at_their_offsets_in_their_layouts():
    blob = Blob.parse(TWO)
    assert [(port.name, port.offset, port.layout) for port in blob.inputs] == [("left", 0, "NHWC"), ("right", 320, "NCHW")]
    assert [(port.name, port.offset, port.layout, port.dtype) for port in blob.outputs] == [
        ("cls", 0, "NC", "fp32"),
        ("heat", 64, "NCHW", "fp16"),
    ]
    assert blob.inputs[0].shape == (1, 8, 6, 3)


@pytest.mark.parametrize(("shaves", "slices", "executors"), [(7, 9, 2), (16, 19, 1), (4, 6, 3), (1, 1, 3), (6, 6, 2), (5, 7, 2)])
def test_as_many_inferences_run_side_by_side_as_shaves_and_slices_allow_three_at_most(shaves: int, slices: int, executors: int):
    assert small(shaves=shaves, slices=slices).executors == executors


def changed(data: bytes, word: int, value: int) -> bytes:
    """One of the header's twenty numbers, overwritten."""
    at = 52 + 4 * word
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def test_a_blob_of_luxonis_converter_is_of_version_6():
    """Its header has the release of OpenVINO where the version belongs."""
    luxonis = changed(changed(FACES, 2, 2021), 3, 4)
    assert luxonis != FACES
    assert Blob.parse(luxonis) == Blob.parse(FACES)
    assert Blob.parse(luxonis).data == FACES, "a stick refuses any other version"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes are too few"),
        (FACES[:131], "131 bytes are too few"),
        (b"MA2x" + FACES[4:], "not a blob for a Myriad X"),
        (changed(FACES, 0, 9708), "not a blob for a Myriad X"),
        (changed(FACES, 2, 5), "version 5.0"),
        (changed(changed(FACES, 2, 2022), 3, 1), "version 2022.1"),
        (FACES[:-1], "was cut off"),
        (changed(FACES, 4, 0), "0 inputs"),
        (changed(FACES, 5, 1 << 31), "outputs"),
        (changed(FACES, 7, 0), "0 bytes of input"),
        (changed(FACES, 8, 0xFFFFFFFF), "of output"),
        (changed(FACES, 7, 269_999), "does not fit into the 269999 bytes"),
        (changed(FACES, 12, 17), "17 shaves"),
        (changed(FACES, 11, 20), "20 slices"),
        (changed(FACES, 12, 10), "10 shaves and 9 slices"),
        (changed(FACES, 16, 0xFFFFFFF0), "outside the file"),
        (changed(FACES, 17, len(FACES) - 8), "outside the file"),
        (changed(FACES, 19, len(FACES)), "outside the file"),
    ],
)
def test_a_wrong_header_is_refused_in_one_line_that_says_what_to_do(data: bytes, said: str):
    with pytest.raises(BlobError) as refused:
        Blob.parse(data)
    text = str(refused.value)
    assert said in text
    assert "\n" not in text
    assert "compile" in text or "damaged" in text


def entry_word(name: str, after_name: int, value: int) -> bytes:
    """One number of an entry of TWO, overwritten; counted from the end of its name."""
    raw = name.encode() + b"\0" * (4 - len(name) % 4)
    at = TWO.index(raw) + len(raw) + 4 * after_name
    return TWO[:at] + struct.pack("<I", value) + TWO[at + 4 :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (entry_word("left", 0, 9), "type of number 9"),
        (entry_word("left", 1, 0x4322), "order"),
        (entry_word("left", 1, 0x4320), "order"),
        (entry_word("left", 2, 0), "0 dimensions"),
        (entry_word("left", 2, 1 << 30), "dimensions"),
        (entry_word("heat", 3, 2), "dynamic shape"),
        (entry_word("heat", 5, 4), "dynamic shape"),
        (entry_word("heat", 4, 0x7FFFFFFF), "outside the file"),
        (entry_word("heat", -2 - 2, 100), "does not fit"),
        (entry_word("heat", -2 - 2, 0xFFFFFFFF), "does not fit"),
        (TWO.replace(b"right\0\0\0", b"left\0\0\0\0"), "one name"),
        (TWO.replace(b"right", b"r\xff\xfe\xfdt"), "not UTF-8"),
        (TWO.replace(b"right", b"r\x1b[2J"), "not printable"),
        (TWO.replace(b"right", b"ri\nht"), "not printable"),
    ],
)
def test_a_wrong_entry_is_refused(data: bytes, said: str):
    with pytest.raises(BlobError, match=said):
        Blob.parse(data)


@given(
    st.lists(
        st.tuples(st.integers(52, len(TWO) - 4), st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 600))), min_size=1, max_size=4
    ),
    st.integers(0, 8),
)
@example([(52 + 16, 64)], 0)
def test_whatever_a_blob_says_it_is_an_error_or_its_ports_lie_inside_of_its_buffers(changes: list[tuple[int, int]], cut: int):
    data = bytearray(TWO)
    for at, value in changes:
        struct.pack_into("<I", data, at, value)
    try:
        blob = Blob.parse(bytes(data[: len(data) - cut]))
    except BlobError:
        return
    assert 1 <= blob.executors <= 3
    for ports, room in ((blob.inputs, blob.inputs_size), (blob.outputs, blob.outputs_size)):
        for port in ports:
            last = port.offset + sum(map(operator.mul, (side - 1 for side in port.shape), port.strides))
            assert 0 <= port.offset <= last < room
            assert len(port.shape) == len(port.layout)


def test_the_demo_graphs_blob_made_by_the_vendors_compiler_is_read():
    blob = Blob.parse((Path(__file__).parents[2] / "graphs/demo/demo.blob").read_bytes())
    (image,), (detections,) = blob.inputs, blob.outputs
    assert (image.dtype, image.layout, image.shape) == ("u8", "NCHW", (1, 3, 256, 320))
    assert (detections.dtype, detections.shape, blob.outputs_size) == ("fp32", (1, 1, 50, 7), 1400)
    assert (blob.version, blob.executors) == ((6, 0), 2)


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(data: bytes):
    with pytest.raises(BlobError):
        Blob.parse(data)
