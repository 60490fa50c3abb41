"""Compiles one model into one blob, in the interpreter that has OpenVINO 2021.4.2 and need not have this package.

    python _compiler.py REQUEST.json

The request names `model`, `blob` (where it goes), `folder` (scratch), `mean`, `scale`, `shaves`, `slices`; the
outcome is written into `folder`/answer.json. The plugin prints its errors on standard output. Mean and scale become the first
operations of the graph. Runs on CPython 3.6.
"""

import json
import os
import struct
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any, Dict, List, Sequence


def compile(request: Dict[str, Any]) -> Dict[str, str]:
    from openvino.inference_engine import IECore

    core = IECore()
    version = core.get_versions("CPU")["CPU"].build_number
    if not version.startswith("2021.4.2"):
        return {"error": f"its OpenVINO is {version}; wanted is openvino==2021.4.2"}
    network = core.read_network(request["model"])
    # other inputs are numbers
    pictures = [name for name, port in network.input_info.items() if is_picture(port.tensor_desc.dims)]
    if not pictures:
        return {"error": "it has no input that is a picture"}
    if any(request["mean"]) or any(each != 1 for each in request["scale"]):
        xml, weights = (os.path.join(request["folder"], name) for name in ("model.xml", "model.bin"))
        network.serialize(xml, weights)
        fold(xml, weights, pictures, request["mean"], request["scale"])
        network = core.read_network(xml, weights)
    for name in pictures:
        network.input_info[name].precision = "U8"
    for port in network.outputs.values():
        port.precision = "FP32"
    asked = {"MYRIAD_NUMBER_OF_SHAVES": request["shaves"], "MYRIAD_NUMBER_OF_CMX_SLICES": request["slices"]}
    loaded = core.load_network(network, "MYRIAD", {key: str(value) for key, value in asked.items() if value})
    loaded.export(request["blob"])
    return {"version": version}


def is_picture(shape: List[int]) -> bool:
    """True for a grey or colour picture, channels first or last."""
    return len(shape) == 4 and (shape[1] in (1, 3) or shape[3] in (1, 3))


def fold(xml: str, weights: str, names: Sequence[str], mean: Sequence[float], scale: Sequence[float]) -> None:
    """Insert (x - mean) / scale per channel between each input and its consumers."""
    tree: Any = ElementTree.parse(xml)
    layers, edges = tree.getroot().find("layers"), tree.getroot().find("edges")
    number = max(int(layer.get("id")) for layer in layers)
    for layer in [each for each in layers if each.get("type") == "Parameter" and each.get("name") in names]:
        port = layer.find("output/port")
        shape, kind = [dim.text for dim in port.findall("dim")], port.get("precision")
        at = 1 if shape[1] == str(len(mean)) else 3
        if kind not in ("FP32", "FP16") or shape[at] != str(len(mean)):
            raise ValueError(f"input {layer.get('name')} is {kind} {shape}: mean and scale are for pictures of 3 channels")
        takers = [edge for edge in edges if (edge.get("from-layer"), edge.get("from-port")) == (layer.get("id"), port.get("id"))]
        given = layer.get("id"), port.get("id")
        for type, values in (("Subtract", mean), ("Divide", scale)):
            number += 2
            each = [str(len(values)) if place == at else "1" for place in range(4)]
            constant = add(layers, number - 1, "Const", kind, [], each)
            offset = os.path.getsize(weights)
            with open(weights, "ab") as file:
                file.write(struct.pack(f"<{len(values)}{'f' if kind == 'FP32' else 'e'}", *values))
            size = os.path.getsize(weights) - offset
            about = {"element_type": kind.replace("FP", "f"), "shape": ",".join(each), "offset": str(offset), "size": str(size)}
            constant.insert(0, ElementTree.Element("data", about))
            add(layers, number, type, kind, [shape, each], shape).insert(
                0, ElementTree.Element("data", {"auto_broadcast": "numpy"})
            )
            for to, source in ((0, given), (1, (str(number - 1), "0"))):
                edge = {"from-layer": source[0], "from-port": source[1], "to-layer": str(number), "to-port": str(to)}
                ElementTree.SubElement(edges, "edge", edge)
            given = str(number), "2"
        for taker in takers:
            taker.set("from-layer", given[0])
            taker.set("from-port", given[1])
    tree.write(xml)


def add(layers: Any, number: int, type: str, kind: str, inputs: List[List[str]], output: List[str]) -> Any:
    about = {"id": str(number), "name": f"{type.lower()}_{number}", "type": type, "version": "opset1"}
    layer = ElementTree.SubElement(layers, "layer", about)
    for at, shape in enumerate([*inputs, output]):
        if at in (0, len(inputs)):
            side = ElementTree.SubElement(layer, "output" if at == len(inputs) else "input")
        port = ElementTree.SubElement(side, "port", {"id": str(at), "precision": kind})
        for dim in shape:
            ElementTree.SubElement(port, "dim").text = dim
    return layer


def main() -> None:
    with open(sys.argv[1]) as file:
        request = json.load(file)
    try:
        answer = compile(request)
    except Exception as error:
        answer = {"error": str(error) or type(error).__name__}
    with open(os.path.join(request["folder"], "answer.json"), "w") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
