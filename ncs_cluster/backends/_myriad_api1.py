"""The MYRIAD plugin by OpenVINO's first API (2021.4.2, `openvino.inference_engine`), behind the calls backend myriad needs.

Runs on CPython 3.9.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ncs_cluster.backends._model import short_reason
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ended = Callable[[int, Optional[str]], None]
"""Called from the plugin's thread with the lane's number and an error or None."""


class Plugin:
    """OpenVINO as a driver of sticks. Raises ImportError where it is not installed, StickError where it cannot drive any."""

    def __init__(self) -> None:
        from openvino.inference_engine import IECore, get_version

        self.version = str(get_version()).partition("-")[0]  # the release without its build number
        self._core = IECore()

    def sticks(self) -> List[str]:
        """Names ("1.1.2-ma2480") of sticks in their boot ROM, and of sticks this process has booted."""
        try:
            return [str(name) for name in self._core.get_metric("MYRIAD", "AVAILABLE_DEVICES")]
        except RuntimeError as error:
            raise StickError("open", f"this OpenVINO ({self.version}) cannot drive a stick: {short_reason(error)}") from error

    def load(self, spec: GraphSpec, device: str, config: Dict[str, str], lanes: int, ended: Ended) -> Net:
        """Boot the stick unless it is booted, and load a graph.

        Raises the plugin's RuntimeError, and StickError without the graph's name.
        """
        if spec.extra_outputs:
            raise StickError(
                "graph", f'it cannot give the layer "{spec.extra_outputs[0]}": a stick gives the outputs of the model alone'
            )
        if spec.blob is not None:
            return Net(self._core.import_network(spec.blob, device, config, lanes), ended)
        network = self._read(spec)
        _fold(network, spec)
        return Net(self._core.load_network(network, device, config, lanes), ended)

    def _read(self, spec: GraphSpec) -> Any:
        if not Path(spec.model).is_file():
            raise StickError("graph", "there is no such file")
        try:
            network = self._core.read_network(spec.model)
        except Exception as error:  # damaged files raise undocumented exceptions
            detail = f"OpenVINO {self.version} cannot read it ({short_reason(error)}): it takes IR version 10, ONNX, and blobs"
            raise StickError("graph", detail) from error
        if len(network.input_info) != 1:
            raise StickError("graph", f"it has {len(network.input_info)} inputs: a graph has exactly one, a picture")
        return network


class Net:
    """A graph on a stick, with its lanes: requests that may be in flight together, each with its own input and outputs."""

    def __init__(self, loaded: Any, ended: Ended) -> None:
        self._loaded = loaded
        (name, port), *more = loaded.input_info.items()
        if more:
            raise StickError("graph", f"it has {len(more) + 1} inputs: a graph has exactly one, a picture")
        sizes = [int(size) for size in port.tensor_desc.dims]
        if len(sizes) != 4 or sizes[0] != 1 or sizes[1] != 3:
            raise StickError("graph", f"its input {sizes} is not a colour picture [1, 3, H, W]")
        # the API lists sizes as N, C, H, W whatever the layout
        self.height, self.width = sizes[2], sizes[3]
        self.layout = str(port.tensor_desc.layout)
        if port.tensor_desc.precision == "FP16":
            raise StickError("graph", "its input is fp16, which this API corrupts: compile it with a u8 input")
        self._lanes = list(loaded.requests)
        self._inputs = [lane.input_blobs[name].buffer.reshape(-1) for lane in self._lanes]
        for number, lane in enumerate(self._lanes):
            lane.set_completion_callback(lambda status, lane: ended(lane, None if status == 0 else f"status {status}"), number)

    def input(self, lane: int) -> NDArray[Any]:
        """The input's values, flat, 3 * height * width of the graph's own type."""
        return self._inputs[lane]  # type: ignore[no-any-return]

    def start(self, lane: int) -> None:
        self._lanes[lane].async_infer()

    def failed(self, lane: int) -> Optional[str]:
        """The error of a failed request, for which the callback is never called."""
        try:
            status = self._lanes[lane].wait(0)
        except RuntimeError as error:
            return short_reason(error)
        return None if status in (0, *_STILL_AT_WORK) else f"status {status}"

    def outputs(self, lane: int) -> Dict[str, NDArray[Any]]:
        """Output name -> array, copied."""
        return {name: blob.buffer.astype("float32") for name, blob in self._lanes[lane].output_blobs.items()}

    def temperature_c(self) -> float:
        return float(self._loaded.get_metric("DEVICE_THERMAL"))


_STILL_AT_WORK = (-9, -8)
"""Status codes RESULT_NOT_READY, and REQUEST_BUSY: the callback has not been called yet."""


def _fold(network: Any, spec: GraphSpec) -> None:
    """Set the input to u8 in the layout that is cheapest to write; mean and scale become part of the graph."""
    from openvino.inference_engine import MeanVariant

    port = next(iter(network.input_info.values()))
    port.precision = "U8"
    if any(spec.mean) or any(value != 1.0 for value in spec.scale):
        arithmetic = port.preprocess_info
        arithmetic.init(3)
        arithmetic.mean_variant = MeanVariant.MEAN_VALUE
        for channel in range(3):
            arithmetic[channel].mean_value, arithmetic[channel].std_scale = spec.mean[channel], spec.scale[channel]
    for output in network.outputs.values():
        output.precision = "FP32"
