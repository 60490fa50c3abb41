"""Graph folders without graph.toml: what is understood, and what is asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.config import graph_folder, ports
from ncs_cluster.config.ports import Port, Ports
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import GraphSpec
from tests.needs import need_litert, need_onnxruntime

COCO = "".join(f"thing {number}\n" for number in range(80))
UNIT = (1.0, 1.0, 1.0)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_info(name: str, shape: tuple[int | str, ...], kind: int = 1) -> bytes:
    sides = b"".join(field(1, field(2, side.encode()) if isinstance(side, str) else field(1, side)) for side in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, kind) + field(2, sides)))


def onnx(inputs: dict[str, Any], outputs: dict[str, Any], weights: tuple[str, ...] = (), kind: int = 1) -> bytes:
    """A ModelProto with these ports and no node."""
    graph = b"".join(field(5, field(1, 4) + field(8, name.encode()) + field(9, b"\0" * 16)) for name in weights)
    graph += b"".join(field(11, value_info(name, shape, kind)) for name, shape in inputs.items())
    graph += b"".join(field(12, value_info(name, shape)) for name, shape in outputs.items())
    return field(1, 8) + field(2, b"a test") + field(7, graph)


def ir(shape: tuple[int, ...], output: tuple[int, ...], first: str = "Convolution") -> str:
    def dims(sides: tuple[int, ...]) -> str:
        return "".join(f"<dim>{side}</dim>" for side in sides)

    return f"""<net version="11"><layers>
<layer id="0" name="x" type="Parameter"><data element_type="f32"/><output><port id="0">{dims(shape)}</port></output></layer>
<layer id="1" name="c" type="{first}"><output><port id="0">{dims(output)}</port></output></layer>
<layer id="2" name="y" type="Result"><input><port id="0">{dims(output)}</port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="2" to-port="0"/></edges></net>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "street cam's"
    made.mkdir()
    (made / "labels.txt").write_text(COCO)
    return made


def read(folder: Path) -> GraphSpec:
    return graph_folder.read(folder, folder.name, None)


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        read(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def pixels(graph: GraphSpec) -> tuple[Any, ...]:
    return graph.colour, graph.resize, graph.align, graph.mean, graph.scale


YOLO = ("RGB", "letterbox", "centre", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def copied(test_data: Path, folder: Path, model: str) -> None:
    for file in (test_data / "models" / model).iterdir():
        if file.suffix in (".onnx", ".tflite", ".xml", ".bin", ".txt"):
            shutil.copy(file, folder)


def test_published_yolos_need_no_description(test_data: Path, tmp_path: Path) -> None:
    for name, expected in (("yolox_nano", ("BGR", "letterbox", "top-left", (0.0, 0.0, 0.0), UNIT)), ("yolov5n", YOLO)):
        (tmp_path / name).mkdir()
        copied(test_data, tmp_path / name, name)
        graph = read(tmp_path / name)
        assert (graph.decoder, graph.threshold, graph.labels[0], len(graph.labels)) == ("yolo", 0.25, "person", 80)
        assert pixels(graph) == expected


@pytest.mark.parametrize(
    "shape", [(1, 84, 8400), ("batch", 84, 8400), (1, 25200, 85), (1, 300, 6)], ids=["v8", "v8 of a free batch", "v5", "end2end"]
)
def test_yolos_of_ultralytics_are_told_by_their_shapes(folder: Path, shape: tuple[int | str, ...]) -> None:
    (folder / "best.onnx").write_bytes(onnx({"images": (1, 3, 640, 640)}, {"output0": shape}))
    assert (read(folder).decoder, pixels(read(folder))) == ("yolo", YOLO)
    assert read(folder).labels[79] == "thing 79"


@pytest.mark.parametrize("shape", [(1, 100, 85), (1, 84, 100), (1, 1000, 85)])
def test_numbers_for_each_class_without_the_grid_of_the_input_are_no_yolo(folder: Path, shape: tuple[int, ...]) -> None:
    (folder / "detr.onnx").write_bytes(onnx({"images": (1, 3, 640, 640)}, {"output": shape}))
    assert "are of no kind that is known by sight" in refusal(folder)


def test_an_ir_of_a_yolo_is_one_unless_it_has_arithmetic_of_its_own(folder: Path) -> None:
    (folder / "best.xml").write_text(ir((1, 3, 640, 640), (1, 84, 8400)))
    assert pixels(read(folder)) == YOLO
    (folder / "best.xml").write_text(ir((1, 3, 640, 640), (1, 84, 8400), first="Multiply"))
    assert "the pixels it was trained on cannot be told" in refusal(folder)


def test_an_ir_with_mean_and_scale_inside_and_a_name_for_each_class_classifies(folder: Path) -> None:
    (folder / "net.xml").write_text(ir((1, 3, 224, 224), (1, 80), first="Subtract"))
    graph = read(folder)
    assert (graph.decoder, graph.labels[0], graph.threshold) == ("classification", "thing 0", 0.0)
    assert pixels(graph) == ("BGR", "stretch", "centre", (0.0, 0.0, 0.0), UNIT)
    (folder / "net.xml").write_text(ir((1, 3, 224, 224), (1, 80)))
    assert "its outputs are those of classification, but the pixels" in refusal(folder)
    (folder / "net.xml").write_text(ir((1, 3, 224, 224), (1, 81), first="Subtract"))
    assert "are of no kind that is known by sight" in refusal(folder)


def test_a_layout_that_two_families_share_is_asked_for_unless_the_name_tells(folder: Path) -> None:
    data = onnx({"images": (1, 3, 416, 416)}, {"output": (1, 3549, 85)})
    (folder / "model.onnx").write_bytes(data)
    assert "YOLOX and YOLOv6 look alike but for their pixels; write one, for YOLOX with: printf" in refusal(folder)
    (folder / "model.onnx").rename(folder / "my_yolox_s.onnx")
    assert (read(folder).decoder, read(folder).align) == ("yolo", "top-left")


@pytest.mark.parametrize(
    ("outputs", "decoder"),
    [
        ({"scores": (1, 4420, 2), "boxes": (1, 4420, 4)}, "ssd"),
        ({"b": (1, 9, 4), "c": (1, 9), "s": (1, 9), "n": (1,)}, "ssd"),
        ({"scores": (1, 80)}, "classification"),
        ({"a": (1, 255, 80, 80), "b": (1, 255, 40, 40), "c": (1, 255, 20, 20)}, "yolo"),
        ({"embedding": (1, 256)}, "features"),
    ],
)
def test_the_command_of_a_refusal_writes_a_description_that_is_read(folder: Path, outputs: dict[str, Any], decoder: str) -> None:
    (folder / "it's a model.onnx").write_bytes(onnx({"images": (1, 3, 640, 640)}, outputs))
    line = refusal(folder)
    command = line[line.index("printf '") :]
    assert subprocess.run(["sh", "-c", command], check=True, capture_output=True).stdout == b""
    graph = read(folder)
    assert (graph.decoder, Path(graph.model).name, len(graph.labels)) == (decoder, "it's a model.onnx", 80)
    assert graph.colour == "RGB"


def test_what_is_of_no_known_kind_is_told_with_the_decoders_there_are(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx({"images": (1, 3, 640, 640)}, {"a": (1, 2, 3), "b": ("n", "m")}))
    line = refusal(folder)
    assert "its outputs a [1, 2, 3], b [?, ?] are of no kind" in line
    assert "(ssd, yolo, classification, features)" in line


def test_of_several_models_the_ir_is_meant(test_data: Path, folder: Path) -> None:
    copied(test_data, folder, "ssd_mobilenet_v1_coco")
    assert Path(read(folder).model).name == "ssd_mobilenet_v1_coco.xml"
    (folder / "ssd_mobilenet_v1_coco.xml").unlink()
    graph = read(folder)
    assert (graph.decoder, graph.colour, graph.labels[0]) == ("ssd", "RGB", "person")
    (folder / "other.onnx").write_bytes(b"")
    assert "holds 2 model files and no graph.toml" in refusal(folder)


def test_ports_are_those_that_onnx_runtime_sees(test_data: Path) -> None:
    kinds = {"tensor(float)": "f32"}
    for name in ("yolox_nano/yolox_nano.onnx", "ultra-light-rfb-320/version-RFB-320.onnx"):
        session = need_onnxruntime().InferenceSession(str(test_data / "models" / name), providers=["CPUExecutionProvider"])
        listed = [
            [Port(each.name, tuple(each.shape), kinds[each.type]) for each in given]
            for given in (session.get_inputs(), session.get_outputs())
        ]
        assert ports.read(test_data / "models" / name) == Ports(*listed)


def test_ports_are_those_that_tensorflow_lite_sees(test_data: Path) -> None:
    kinds = {"float32": "f32", "uint8": "u8"}
    for path in sorted((test_data / "models").glob("*/*.tflite")):
        interpreter = need_litert().Interpreter(str(path))
        listed = [
            [
                Port(
                    each["name"],
                    tuple(side if side > 0 else -1 for side in each["shape_signature"].tolist()),
                    kinds[each["dtype"].__name__],
                )
                for each in given
            ]
            for given in (interpreter.get_input_details(), interpreter.get_output_details())
        ]
        assert ports.read(path) == Ports(*listed)


def test_weights_that_old_files_list_as_inputs_are_none(tmp_path: Path) -> None:
    data = onnx({"images": ("n", 3, 8, 8), "conv.weight": (4, 3, 3, 3)}, {"y": (1, 4)}, weights=("conv.weight",), kind=2)
    (tmp_path / "old.onnx").write_bytes(data)
    assert ports.read(tmp_path / "old.onnx") == Ports([Port("images", (-1, 3, 8, 8), "u8")], [Port("y", (1, 4), "f32")])


@pytest.mark.parametrize("ending", [".onnx", ".tflite"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"version https://git-lfs",
        b"\xff" * 100,
        b"\0\0\0\0TFL3",
        b"\x10\0\0\0TFL3" + b"\xff" * 60,
        field(7, b"\xff" * 20),
    ],
    ids=["empty", "zero", "text", "ones", "short", "wild", "nested"],
)
def test_what_is_no_model_is_one_line(folder: Path, ending: str, data: bytes) -> None:
    (folder / f"model{ending}").write_bytes(data)
    assert f"model{ending}" in refusal(folder)


def test_files_outside_the_folder_are_not_looked_at(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.onnx").write_bytes(onnx({"images": (1, 3, 640, 640)}, {"output0": (1, 84, 8400)}))
    (folder / "model.onnx").symlink_to(tmp_path / "secret.onnx")
    assert "holds neither graph.toml nor a model" in refusal(folder)


def test_a_fifo_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "model.onnx")
    assert "is not a file" in refusal(folder)


def test_fields_without_end_are_not_read_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "long.onnx").write_bytes(field(7, field(1, b"") * 600_000))
    with pytest.raises(ConfigError, match="more than 500000 fields"):
        ports.read(tmp_path / "long.onnx")


@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = onnx({"images": (1, 3, 8, 8)}, {"y": (1, 4)}, weights=("w",))
    ending = data.draw(st.sampled_from([".onnx", ".tflite"]))
    spoiled = bytearray(whole if ending == ".onnx" else LITTLE)
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"spoiled{ending}"
    path.write_bytes(bytes(spoiled[: data.draw(st.integers(1, len(spoiled)))]))
    with contextlib.suppress(ConfigError):
        found = ports.read(path)
        assert all(isinstance(port, Port) for port in found.inputs + found.outputs)


def little() -> bytes:
    """A TensorFlow Lite file with one tensor, which is input and output: tables laid out by hand."""
    model = struct.pack("<HHHHH", 10, 8, 0, 0, 4) + b"\0\0"  # vtable at 12: subgraphs at 4
    head = struct.pack("<I", 24) + b"TFL3" + struct.pack("<I", 0)
    table = struct.pack("<iI", 12, 4)  # at 24; its vector at 32
    graphs = struct.pack("<II", 1, 16)  # at 32; the graph's table at 52
    vtable = struct.pack("<HHHHH", 10, 16, 4, 8, 12) + b"\0\0"  # at 40
    graph = struct.pack("<iIII", 12, 12, 16, 20)  # at 52: tensors at 68, inputs at 76, outputs at 84
    lists = struct.pack("<II", 1, 40) + struct.pack("<II", 1, 0) + struct.pack("<II", 1, 0)  # at 68; the tensor at 112
    tensor_vtable = struct.pack("<HHHHHH", 12, 16, 4, 12, 0, 8) + b"\0" * 8  # at 92
    tensor = struct.pack("<iIIB3x", 20, 12, 28, 3)  # at 112: shape at 128, name at 148, type u8
    shape = struct.pack("<Iiiii", 4, 1, 6, 8, 3)
    return (
        head + model + table + graphs + vtable + graph + lists + tensor_vtable + tensor + shape + struct.pack("<I", 1) + b"x\0\0\0"
    )


LITTLE = little()


def test_a_file_laid_out_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "little.tflite").write_bytes(LITTLE)
    port = Port("x", (1, 6, 8, 3), "u8")
    assert ports.read(tmp_path / "little.tflite") == Ports([port], [port])
