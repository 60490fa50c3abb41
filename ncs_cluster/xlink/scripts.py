"""A host's requests to a stick, step by step, in the order of the vendor's plugin. docs/xlink.md has them as a table.

A script is a generator that yields what it waits for: a reply or a payload (a Wait), or a time. session.py resumes it when that has
come. Every payload is expected before its request is sent, because it may come before the request's reply. Scripts raise Refused
when the stick refuses a request, ProtocolError for an invalid answer. Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import Any, Generator, NamedTuple, Optional, Tuple, Union

from ncs_cluster.errors import ProtocolError
from ncs_cluster.xlink import commands
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.commands import Capabilities, Device, Graph
from ncs_cluster.xlink.link import Data, Link, Stream, Wait

FIFO_OUT_SIZE = 8
"""Bytes: the host never writes to an output FIFO."""

Step = Union[Wait, float]
"""What a script waits for: a Wait, or a time in seconds."""
Script = Generator[Step, None, None]


class Refused(Exception):
    """The stick has refused a request: a reason of StickError, and one line."""


class Loaded(NamedTuple):
    """A graph on the stick, with its buffer and its two FIFOs."""

    number: int
    blob: Blob
    depth: int
    stages: int
    buffer: Stream
    into: Stream
    out: Stream

    @property
    def fifos(self) -> Tuple[int, int]:
        """The numbers of the FIFO in and the FIFO out."""
        return 2 * self.number, 2 * self.number + 1


def greet(link: Link, settle_s: float) -> Script:
    """The first PING is answered when the firmware runs."""
    yield link.ping()
    yield link.now_s + settle_s


def meet(link: Link) -> Generator[Step, None, Tuple[Stream, Capabilities]]:
    """Open deviceMonitor and read the stick's capabilities."""
    device = yield from _opened(link, commands.DEVICE_MONITOR, commands.DEVICE_MONITOR_BYTES)
    answer = link.expect(device, commands.CAPABILITIES.size, link.reply_timeout_s)
    yield link.write(device, commands.device_command(Device.CAPABILITIES))
    yield answer
    capabilities = commands.capabilities(answer.value)
    if not capabilities.is_myriad_x:
        raise Refused("open", f"the stick is no Myriad X: its firmware is {capabilities.firmware or 'nameless'}")
    return device, capabilities


def prepare(link: Link, device: Stream) -> Generator[Step, None, Stream]:
    """Open graphMonitor; set power and DMA as the vendor does."""
    monitor = yield from _opened(link, commands.GRAPH_MONITOR, commands.GRAPH_MONITOR_BYTES)
    yield link.write(device, commands.device_command(Device.POWER))
    yield link.write(device, commands.device_command(Device.ASYNC_DMA, 1))
    return monitor


def allocate(
    link: Link, monitor: Stream, number: int, blob: Blob, executors: int, timeout_s: float
) -> Generator[Step, None, Loaded]:
    """Load a graph, with FIFOs for twice as many tensors as `executors`."""
    name, depth = f"graphBuffer{number}", 2 * executors
    buffer = yield from _opened(link, name, len(blob.data))
    verify = commands.graph_command(Graph.VERIFY, number, name, third=executors)
    head = memoryview(blob.data)[: commands.VERIFY_BYTES]
    yield from _order(link, monitor, verify, timeout_s, "graph", f"graph {number} was refused", (buffer, head))
    sizes = commands.TENSOR.size, commands.TENSOR.size, commands.STATUS.size
    tensor_in, tensor_out, stages = (link.expect(buffer, size, timeout_s) for size in sizes)
    order = commands.graph_command(Graph.ALLOCATE, number, name, third=executors)
    yield from _order(link, monitor, order, timeout_s, "graph", f"graph {number} was not allocated", (buffer, blob.data))
    for described, size, what in ((tensor_in, blob.inputs_size, "inputs"), (tensor_out, blob.outputs_size, "outputs")):
        yield described
        described_size = commands.TENSOR.unpack(described.value)[4]
        if described_size != size:
            raise ProtocolError(f"the stick reports {described_size} bytes of {what} in graph {number}, the blob has {size}")
    yield stages
    check = commands.graph_command(Graph.ALLOCATION_VERIFY, number, name, third=executors)
    yield from _order(link, monitor, check, timeout_s, "graph", f"graph {number} does not fit on the stick")
    into = yield from _fifo(link, monitor, 2 * number, depth, blob.inputs_size * depth, tensor_in.value, timeout_s)
    out = yield from _fifo(link, monitor, 2 * number + 1, depth, None, tensor_out.value, timeout_s)
    return Loaded(number, blob, depth, int.from_bytes(stages.value, "little"), buffer, into, out)


def infer(link: Link, monitor: Stream, graph: Loaded, tensor: Data, result: Wait, timeout_s: float) -> Script:
    """Send a tensor and its trigger. One script of all graphs runs at a time, so triggers have the order of tensors. `result` is
    expected only after the tensor was sent: outputs that come earlier belong to another inference."""
    yield link.write(graph.into, tensor, timeout_s)
    link.expect(graph.out, graph.blob.outputs_size, wait=result)
    trigger = commands.graph_command(Graph.TRIGGER, graph.number, "", *graph.fifos)
    yield from _order(link, monitor, trigger, timeout_s, "infer", f"an inference of graph {graph.number} was refused")


def feed_watchdog(link: Link, device: Stream) -> Script:
    yield link.write(device, commands.device_command(Device.PING))


def look(link: Link, device: Stream) -> Generator[Step, None, Tuple[float, float]]:
    """Throttle level and degrees Celsius, unchecked."""
    answer = link.expect(device, commands.THERMAL.size, link.reply_timeout_s)
    yield link.write(device, commands.device_command(Device.THERMAL))
    yield answer
    level, temperature_c = commands.THERMAL.unpack(answer.value)[:2]
    return level, temperature_c


def release(link: Link, monitor: Stream, graph: Loaded) -> Script:
    """Release a graph and its streams."""
    yield link.write(graph.into, commands.FIFO_WAKE)
    for fifo, stream in zip(graph.fifos, (graph.into, graph.out)):
        order = commands.fifo_release(fifo)
        yield from _order(link, monitor, order, link.reply_timeout_s, "protocol", f"FIFO {fifo} was not released")
        yield link.close(stream)
    order = commands.graph_command(Graph.DEALLOCATE, graph.number)
    yield from _order(link, monitor, order, link.reply_timeout_s, "protocol", f"graph {graph.number} was not released")
    yield link.close(graph.buffer)


def _opened(link: Link, name: str, size: int) -> Generator[Step, None, Stream]:
    created = link.open(name, size)
    yield created
    stream: Stream = created.value
    return stream


def _fifo(
    link: Link, monitor: Stream, number: int, depth: int, room: Optional[int], tensor: Any, timeout_s: float
) -> Generator[Step, None, Stream]:
    """Allocate a FIFO of `depth` tensors; `room` in bytes, None for a FIFO that the host reads."""
    name, reads = f"FIFO{number}", room is None
    stream = yield from _opened(link, name, FIFO_OUT_SIZE if room is None else room)
    order = commands.fifo_command(number, name, depth, bytes(tensor), host_reads=reads)
    yield from _order(link, monitor, order, timeout_s, "graph", f"{name} was refused")
    return stream


def _order(
    link: Link,
    monitor: Stream,
    command: bytes,
    timeout_s: float,
    reason: str,
    refusal: str,
    payload: Optional[Tuple[Stream, Data]] = None,
) -> Script:
    """Send a command to graphMonitor, with a payload on another stream, and read its status. Raises Refused."""
    status = link.expect(monitor, commands.STATUS.size, timeout_s)
    yield link.write(monitor, command, timeout_s)
    if payload is not None:
        yield link.write(*payload)
    yield status
    code = commands.STATUS.unpack(status.value)[0]
    if code:
        raise Refused(reason, f"{refusal}: {commands.status_words(code)}")
