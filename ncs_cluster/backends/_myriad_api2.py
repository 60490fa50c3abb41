"""The MYRIAD plugin by OpenVINO's second API (an archive of 2022.3.1 LTS, `openvino.runtime`), behind the calls backend myriad
needs.

Never run on hardware nor on the plugin of that release, which no package registry offers. Runs on CPython 3.9.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from msgspec import structs

from ncs_cluster.backends._model import fold, read, short_reason
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ended = Callable[[int, Optional[str]], None]


class Plugin:
    """OpenVINO as a driver of sticks. Raises ImportError where it is not installed, or has no plugin for sticks."""

    def __init__(self) -> None:
        from openvino.runtime import Core, get_version

        self.version = str(get_version()).partition("-")[0]  # the release without its build number
        self._core = Core()
        try:
            self.sticks()
        except RuntimeError as error:
            # 2023 and later, and every wheel since 2022.1
            raise ImportError(f"OpenVINO {self.version} has no MYRIAD plugin: {short_reason(error)}") from error

    def sticks(self) -> List[str]:
        """Names ("1.1.2-ma2480") of sticks in their boot ROM, and of sticks this process has booted."""
        return [str(name) for name in self._core.get_property("MYRIAD", "AVAILABLE_DEVICES")]

    def load(self, spec: GraphSpec, device: str, config: Dict[str, str], lanes: int, ended: Ended) -> Net:
        """See _myriad_api1."""
        if spec.extra_outputs and spec.blob is not None:
            raise StickError("graph", f'its blob cannot give the layer "{spec.extra_outputs[0]}": it gives its outputs alone')
        if spec.blob is not None:
            return Net(self._core.import_model(Path(spec.blob).read_bytes(), device, config), lanes, ended)
        # the host writes the channel order, as with a blob
        folded = fold(read(self._core, spec), structs.replace(spec, colour="BGR"))
        return Net(self._core.compile_model(folded, device, config), lanes, ended)


class Net:
    """See _myriad_api1."""

    def __init__(self, loaded: Any, lanes: int, ended: Ended) -> None:
        self._loaded = loaded
        if len(loaded.inputs) != 1:
            raise StickError("graph", f"it has {len(loaded.inputs)} inputs: a graph has exactly one, a picture")
        sizes = [int(size) for size in loaded.input().shape]
        if len(sizes) != 4 or sizes[0] != 1 or 3 not in (sizes[1], sizes[3]):
            raise StickError("graph", f"its input {sizes} is not a colour picture [1, 3, H, W] or [1, H, W, 3]")
        self.layout = "NHWC" if sizes[3] == 3 else "NCHW"
        self.height, self.width = sizes[1:3] if self.layout == "NHWC" else sizes[2:4]
        self._lanes = [loaded.create_infer_request() for _ in range(lanes)]
        self._inputs = [lane.get_input_tensor().data.reshape(-1) for lane in self._lanes]
        for number, lane in enumerate(self._lanes):
            lane.set_callback(lambda lane: ended(lane, None), number)

    def input(self, lane: int) -> NDArray[Any]:
        return self._inputs[lane]  # type: ignore[no-any-return]

    def start(self, lane: int) -> None:
        self._lanes[lane].start_async()

    def failed(self, lane: int) -> Optional[str]:
        """None: this API reports every failure to the callback."""
        try:
            self._lanes[lane].wait_for(0)
        except RuntimeError as error:
            return short_reason(error)
        return None

    def outputs(self, lane: int) -> Dict[str, NDArray[Any]]:
        request = self._lanes[lane]
        return {
            sorted(port.names)[0] if port.names else f"output{index}": request.get_output_tensor(index).data.astype("float32")
            for index, port in enumerate(self._loaded.outputs)
        }

    def temperature_c(self) -> float:
        return float(self._loaded.get_property("DEVICE_THERMAL"))
