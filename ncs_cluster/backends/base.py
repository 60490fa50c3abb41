"""What every accelerator looks like to its worker.

A stick is only full with several requests in flight, so a backend submits and collects; `DeviceInfo.max_in_flight` says how many
and the core's dispatcher never sends more. The worker waits on its channel and on `wake_fd` together, at most until `due_s`, then
calls `collect`. Nothing here blocks but `open` and `close`. Backends raise only StickError. Runs on CPython 3.9.

What only some backends can do is a capability: a protocol of its own (`Reopening`, `FaultInjection`), which the worker checks.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Protocol,
    Tuple,
    runtime_checkable,
)

from msgspec import Struct

from ncs_cluster.types import GraphPorts, Outcome, OverflowCounts, ResizeTransform
from ncs_cluster.usb_ids import UsbIds

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec, StickSpec


class DeviceInfo(NamedTuple):
    """What an open stick is."""

    name: str
    """For people: "simulated stick", "Intel(R) Xeon(R)"."""
    has_sensor: bool
    max_in_flight: int
    """Requests it can hold at once."""
    firmware: Optional[str] = None
    """What runs on it, where it says so."""
    executors: int = 1
    """Requests it executes at once; the others in flight wait inside it."""
    answers: Tuple[Tuple[float, ...], ...] = ()
    """For each graph, the figures of its answer to the known picture, which all working devices of the backend share. Empty: the
    backend infers no known picture."""
    ports: Tuple[GraphPorts, ...] = ()
    """Of each graph. Empty: the device runs none, or they are not known."""


class Completed(NamedTuple):
    """One answered request."""

    tag: int
    outputs: Optional[Mapping[str, NDArray[Any]]]
    """Output name -> float array as the graph gives it; None where the stick runs no graph (simulated, latency only)."""
    latency_s: float
    """From the moment the stick took it to its answer."""
    transform: ResizeTransform = ResizeTransform()
    """Scale and offset from the frame to the graph's input, and the input's size, which tells the layout of a YOLO head."""
    outcome: Optional[Outcome] = None
    """Where another machine has decoded the outputs; of a Forwarding backend alone."""
    missed: str = ""
    """Why there is no answer, though nothing is wrong with the device: "late", "refused" or "held back"; of a Forwarding backend
    alone."""


class Reading(NamedTuple):
    """One look at the sensor. `temperature_c` is passed on as read, also when it is absurd: judging it is the core's."""

    temperature_c: Optional[float]
    throttle_level: Optional[int] = None
    """How far the stick's own firmware slows it, 0: not at all. None where that is not told."""
    age_s: float = 0.0
    """How long ago it was looked at: where a library holds the answer back, the last one is given again with its age."""


class Backend(Protocol):
    """One open stick. The class is called with `time_scale`: how much faster than real time heat runs (simulated sticks only)."""

    wake_fd: Optional[int]
    """Readable when something may be collected; None when only `due_s` tells."""
    due_s: Optional[float]
    """time.monotonic() at which something may be collected; None when nothing is due."""

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        """Open the stick and load every graph; `phase` is called as each long step begins ("opening", "compiling")."""

    @property
    def needs_frames(self) -> bool:
        """False when no pixel is ever looked at, so the frame pool need not be mapped. Fixed once the stick is open."""

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        """Begin one inference. `image` is uint8 BGR [h, w, 3] in shared memory, valid until collected; None if `needs_frames` is
        false. Host-side resize into the graph's input happens here."""

    def collect(self) -> List[Completed]:
        """All requests answered since the last call, in any order."""

    def read_sensor(self) -> Reading: ...

    def close(self) -> None:
        """Callable at any time after the constructor."""


@runtime_checkable
class Reopening(Protocol):
    """A backend that can reset its stick in place: the worker's process lives on."""

    def reopen(self, phase: Callable[[str], None]) -> DeviceInfo:
        """Called after StickError("hang" or "link", ...). The worker has forgotten all requests."""


@runtime_checkable
class Doubting(Protocol):
    """A backend that knows whether a stick's earlier results may belong to other frames."""

    def doubt(self, detail: str) -> str:
        """`detail`, why the supervisor calls for a reset, and what it means for earlier results. Called before `reopen`."""


@runtime_checkable
class FaultInjection(Protocol):
    """A backend that misbehaves on command, for demonstrations and tests."""

    def inject_fault(self, kind: str, for_s: float) -> None:
        """Begin a fault now. Raises StickError("protocol", ...) for an unknown kind. May not return."""


@runtime_checkable
class Forwarding(Protocol):
    """A backend that has frames inferred and decoded by other machines."""

    def change_graphs(self, graphs: List[GraphSpec]) -> None:
        """New thresholds, labels and decoder options, for the same graphs in the same order."""

    def counts(self) -> OverflowCounts: ...


class Counted(Struct, frozen=True, kw_only=True):
    """Devices that are simply there: as many as `--sticks` says."""

    default: int
    """Number of devices without `--sticks`."""
    prefix: str
    """Prefix of the devices' ids: "sim" gives sim-1, sim-2, ..."""
    port: str
    """`port` of the status, before the device's number; {NAME} is the value of an option."""


class Matched(Struct, frozen=True, kw_only=True):
    """Devices that are found on the USB bus, and come and go."""

    device: str
    """Name of one device in messages: "neural compute stick"."""
    usb: UsbIds
    prefix: str
    """Prefix of the devices' ids, before the port: "ncs" gives ncs-1-1.2."""
    booted_port: Optional[str] = None
    """The option that takes the port at which a device comes back after its boot, where that has been learned."""


LIBUSB, FIRMWARE, VENDOR_PLUGIN = "libusb", "firmware", "vendor plugin"


class BackendPlugin(Struct, frozen=True, kw_only=True):
    """The registry entry of a backend, known without importing it. Strings that name code are "module:attribute"."""

    name: str
    title: str
    """Name in `--help` and docs."""
    driver: str
    """The class: see Backend."""
    options: str
    """The frozen dataclass of its options. Its `__post_init__` raises ValueError, one line, for values that make no sense."""
    counted: Optional[Counted] = None
    matched: Optional[Matched] = None
    """Exactly one of the two."""
    artifact: str = "model"
    """What it takes of a graph: "model", the file that graph.toml names, or "blob", that file compiled for a Myriad X."""
    needs_graph: bool = True
    simulated: bool = False
    """Not real: heat may run faster than time (`time_scale`), and faults may be asked for."""
    on_host: bool = False
    """It computes with this machine's processors, so that other programs slow it: no throttling is read from its times."""
    preflight: Optional[str] = None
    """`(graphs: List[GraphSpec]) -> Iterator[Outputs]`: gives each graph's outputs for an empty frame, in order; raises StickError
    for a graph that cannot be loaded. Called once, before the daemon starts anything, under the workers' interpreter."""
    preflight_may_crash: bool = True
    """Call it in a process of its own."""
    configure: Optional[str] = None
    """`(host: Host) -> Dict[str, Any]`: options of every device, found on this machine; refuses where something is missing."""
    divide: Optional[str] = None
    """`(options: Dict[str, Any], count: int) -> Dict[str, Any]`: options of each of `count` workers that share this machine."""
    alone: Dict[str, Any] = {}
    """Options with which a request is answered soonest when no other is in flight; those that were set go before them."""
    needs: Tuple[str, ...] = ()
    """What it needs of the machine, for `ncsctl doctor`: LIBUSB, FIRMWARE, VENDOR_PLUGIN."""
    obstacle: Optional[str] = None
    """`(host: Host) -> Optional[str]`, for `--backend auto`: None where the backend can drive the plugged-in devices, else the
    reason why it cannot; "" where its settings are missing, so that `auto` passes it over without a notice."""


Outputs = Mapping[str, Any]
"""Output name -> array."""


class Host(Protocol):
    """What the hooks of a backend may ask: its options as they were set, and this machine."""

    @property
    def state_dir(self) -> Path: ...

    def given(self, option: str) -> bool:
        """True when the file, a variable or a flag sets this option; "runtime" counts as an option."""

    def option(self, name: str) -> Any:
        """Its value as set, or its default."""

    def path(self, option: str) -> Path:
        """The absolute path that an option names; a relative path starts at the folder of the file that sets the option. Raises
        ConfigError for an empty path and for a folder that this user may not enter."""

    def interpreter(self) -> Tuple[str, Dict[str, str]]:
        """The Python its workers run under, and their environment."""

    def refuse(self, option: Optional[str], because: str) -> NoReturn:
        """Raise ConfigError at an option, or at the choice of the backend. `because`: what is wrong and what to do."""
