"""The host's side of one booted stick, from its first PING to its RESET, in the order of the vendor's plugin.

    open       PING, a pause, deviceMonitor, capabilities, graphMonitor, power and DMA settings
    allocate   of each graph: its buffer, VERIFY, ALLOCATE with the whole blob, two tensors described, the check, a FIFO in and out
    infer      a tensor into the FIFO in, TRIGGER, its status; some time later the outputs on the FIFO out, in order of the triggers
    watch      from the capabilities on: a ping of the firmware's watchdog each second, and the temperature
    close      FIFOs, graphs and streams, then RESET: the chip goes back to its boot ROM. With work in flight RESET at once

What is written down as a script below runs whenever what it waits for has come. Anything no stick may do, and anything that does
not come in time, is `Lost`: nothing is taken or sent after it, since a late answer would be taken for another's. CPython 3.9.

To carry it (the one that owns the USB stick):
    session.start(now)                          then, whenever something happens:
    for data in session.out(): pipe.send(data)          each element is one transfer; cut longer ones as you like, never join two
    read exactly session.wanted bytes                   one read at a time, always one under way; cut it as you like
    session.received(data, now)                         all of them, owned from now on; before tick
    session.tick(now) when session.due_s has come
    session.events()                                    after each of these
    session.fail("gone", detail)                        when the transport has no more to carry
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Generator, List, NamedTuple, Optional, Sequence, Tuple, Union

from ncs_cluster.errors import ProtocolError
from ncs_cluster.xlink import commands
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.commands import Capabilities, Device, Graph
from ncs_cluster.xlink.frames import FIRST_EVENT, FrameType, Header
from ncs_cluster.xlink.link import NEVER_S, Data, Link, Stream, Wait

GOODBYE = Header(FIRST_EVENT, FrameType.RESET_REQ).encode()
"""One transfer that makes a firmware which listens reset its chip, whatever was said before."""
FIFO_OUT_SIZE = 8
"""We never write to a FIFO out."""
LATE_S = 1.0
"""Called this much after `due_s`, the host stood still, and it is no time in which the stick was silent."""


class Options(NamedTuple):
    """How to treat a stick. Times in seconds."""

    executors: Optional[int] = None
    """Inferences side by side per graph; None: as many as blob and stick allow. The depth is twice that."""
    settle_s: float = 1.0
    """Between the first PING and all else, as the vendor does; whether it is needed is not known."""
    ping_s: float = 1.0
    thermal_s: Optional[float] = 1.0
    """None: only when `look` is called."""
    reply_timeout_s: float = 12.0
    """The vendor's patience with a watchdog ping."""
    allocate_timeout_s: float = 30.0
    infer_timeout_s: float = 20.0
    """From its trigger, or from the result before it, to a result."""
    close_timeout_s: float = 2.0


class Ready(NamedTuple):
    """Every graph is on the stick; `submit` may be called."""

    capabilities: Capabilities
    depths: Tuple[int, ...]
    """Of each graph, how many inferences it holds at once."""
    stages: Tuple[int, ...]


class Result(NamedTuple):
    """One inference. `data` are `outputs_size` bytes, each output at its offset. Latency counts from when its tensor left."""

    tag: int
    graph: int
    data: Data
    latency_s: float


class Thermal(NamedTuple):
    """One look at the sensor, passed on as it came, also when it is absurd."""

    level: int
    """Throttle level: 0, 1, 2; 0 for what is none of these."""
    temperature_c: float


class Lost(NamedTuple):
    """The end of the session and of everything submitted. `reason` is one of StickError's."""

    reason: str
    detail: str


class Closed(NamedTuple):
    """The end of a session that was asked to end; the chip resets itself."""


Event = Union[Ready, Result, Thermal, Lost, Closed]
Step = Union[Wait, float]
"""What a script waits for: something to come, or a time."""
Script = Generator[Step, None, None]


class _Job(NamedTuple):
    """One inference; `sent_s` and `result` once its tensor has left."""

    tag: int
    graph: int
    tensor: Data
    sent_s: float = 0.0
    result: Optional[Wait] = None


class _Loaded:
    """A graph on the stick, with its two FIFOs."""

    def __init__(self, number: int, blob: Blob, depth: int, stages: int, buffer: Stream, into: Stream, out: Stream) -> None:
        self.number, self.blob, self.depth, self.stages = number, blob, depth, stages
        self.buffer, self.into, self.out = buffer, into, out
        self.fifo_in, self.fifo_out = 2 * number, 2 * number + 1
        self.flying: Deque[_Job] = deque()
        self.progress_s = 0.0


class _Running:
    """A script and what it waits for."""

    __slots__ = ("script", "step")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.step: Step = 0.0
        """NEVER_S once it has come to its end."""

    def may_go_on(self, now_s: float) -> bool:
        return self.step.done if isinstance(self.step, Wait) else self.step <= now_s


class _Refused(Exception):
    """The stick has said no: (reason, detail) of a Lost."""


class Session:
    """One stick with its graphs. `blobs[n]` is graph n. No method raises for what a stick does, or after the end."""

    def __init__(self, blobs: Sequence[Blob], options: Options = Options()) -> None:  # noqa: B008  (a tuple)
        self._blobs, self._options = list(blobs), options
        self._link = Link(options.reply_timeout_s)
        self._graphs: List[_Loaded] = []
        self._jobs: Deque[_Job] = deque()
        self._more: Optional[Wait] = None
        self._events: List[Event] = []
        self._scripts: List[_Running] = []
        self._now_s = self._heard_s = self._slept_s = 0.0
        self._leave_by_s = NEVER_S
        self._leaving = False
        self._device: Optional[Stream] = None
        self._monitor: Optional[Stream] = None
        self.phase = "opening"
        """"opening", "allocating", "ready", "closing" or "ended"."""

    # -- the door -----------------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> None:
        """The stick is claimed: begin."""
        self._now_s = self._heard_s = float(now_s)
        self._begin(self._open())
        self._run()

    @property
    def ended(self) -> bool:
        """After Lost or Closed: nothing leaves, comes or is due any more."""
        return self.phase == "ended"

    @property
    def wanted(self) -> int:
        """Bytes the read under way must ask for; it changes in `received` alone."""
        return self._link.wanted

    def out(self) -> List[Data]:
        """What must be written, in order."""
        data, self._link.out = self._link.out, []
        return data

    def events(self) -> List[Event]:
        """What has happened since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def due_s(self) -> Optional[float]:
        """When `tick` must be called if nothing happens before."""
        due_s = NEVER_S if self.ended else self._due_s()
        return None if due_s == NEVER_S else due_s + self._slept_s

    def _due_s(self) -> float:
        """By the session's own clock."""
        due_s = min(self._link.due_s(), self._leave_by_s)
        for running in self._scripts:
            if isinstance(running.step, float):
                due_s = min(due_s, running.step)
        for graph in self._graphs:
            if graph.flying:
                due_s = min(due_s, self._patience_s(graph))
        return due_s

    @property
    def in_flight(self) -> int:
        """Inferences submitted and not answered."""
        return len(self._jobs) + sum(len(graph.flying) for graph in self._graphs)

    def submit(self, tag: int, graph: int, tensor: Data, now_s: float) -> None:
        """Begin an inference: `inputs_size` bytes, each input at its offset, unchanged until its Result. Its outcome is exactly one
        Result, or the end. More than the depth wait here. Raises ValueError for what was never possible."""
        if len(tensor) != self._blobs[graph].inputs_size:
            raise ValueError(f"graph {graph} takes {self._blobs[graph].inputs_size} bytes, not {len(tensor)}")
        if self.phase != "ready":
            if not self.ended:
                raise ValueError(f"nothing can be submitted while {self.phase}")
            return
        self._turn(now_s)
        self._jobs.append(_Job(tag, graph, tensor))
        self._run()

    def look(self, now_s: float) -> None:
        """Ask for a Thermal now, beside those that come by themselves."""
        if not self.ended and self._device is not None:
            self._turn(now_s)
            self._begin(self._look(self._device))
            self._run()

    def received(self, data: Data, now_s: float) -> None:
        """What was `wanted` has come."""
        if self.ended:
            return
        self._turn(now_s)
        try:
            self._link.received(data, self._now_s)
        except ProtocolError as error:
            self._lose("protocol", str(error))
            return
        self._collect()
        self._run()
        if self._link.left and not self.ended:
            self._lose("gone", "the stick has reset itself")

    def tick(self, now_s: float) -> None:
        """Time has passed. Call it only after all that has come was handed over."""
        if self.ended:
            return
        self._turn(now_s)
        due_s = self._due_s()
        if now_s >= due_s + self._slept_s:
            # what was added and taken away again may have lost its last bit
            self._now_s = max(self._now_s, due_s)
        overdue = self._link.overdue(self._now_s)
        for graph in self._graphs:
            if graph.flying and self._now_s >= self._patience_s(graph):
                overdue = overdue or f"no result of graph {graph.number} for {self._options.infer_timeout_s:g} s"
        if self._now_s >= self._leave_by_s:
            overdue = overdue or "the stick does not take its leave"
        if overdue:
            self._lose("hang", overdue)
        else:
            self._run()

    def close(self, now_s: float) -> None:
        """Begin to end: Closed comes when the stick has taken note, or Lost after `close_timeout_s`."""
        if self.ended or self.phase == "closing":
            return
        self._turn(now_s)
        idle = self.phase == "ready" and not self.in_flight
        self.phase = "closing"
        self._leave_by_s = self._now_s + self._options.close_timeout_s
        # a question under way still gets its answer, nothing is asked any more
        self._scripts = [running for running in self._scripts if idle and running.step is not self._more]
        self._scripts = [running for running in self._scripts if not isinstance(running.step, float)]
        self._begin(self._close(idle))
        self._run()

    def fail(self, reason: str, detail: str) -> None:
        """The transport has lost the stick. After our RESET that is how it ends."""
        if self._leaving:
            self._end(Closed())
        elif not self.ended:
            self._lose(reason, detail)

    # -- scripts ------------------------------------------------------------------------------------------------------

    def _open(self) -> Script:
        link, options = self._link, self._options
        yield link.ping(self._now_s)
        yield self._now_s + options.settle_s
        created = link.open(commands.DEVICE_MONITOR, commands.DEVICE_MONITOR_BYTES, self._now_s)
        yield created
        device: Stream = created.value
        answer = link.expect(device, commands.CAPABILITIES.size, self._now_s + options.reply_timeout_s)
        yield self._write(device, commands.device_command(Device.CAPABILITIES))
        yield answer
        capabilities = commands.capabilities(answer.value)
        if not capabilities.is_myriad_x:
            raise _Refused("open", f"the stick is no Myriad X: its firmware is {capabilities.firmware or 'nameless'}")
        self._device = device
        self._begin(self._ping(device))
        if options.thermal_s is not None:
            self._begin(self._watch(device, options.thermal_s))
        created = link.open(commands.GRAPH_MONITOR, commands.GRAPH_MONITOR_BYTES, self._now_s)
        yield created
        self._monitor = created.value
        yield self._write(device, commands.device_command(Device.POWER))
        yield self._write(device, commands.device_command(Device.ASYNC_DMA, 1))
        self.phase = "allocating"
        for number, blob in enumerate(self._blobs):
            yield from self._allocate(number, blob, capabilities)
        self.phase = "ready"
        depths = tuple(graph.depth for graph in self._graphs)
        self._events.append(Ready(capabilities, depths, tuple(graph.stages for graph in self._graphs)))
        yield from self._infer()

    def _allocate(self, number: int, blob: Blob, capabilities: Capabilities) -> Script:
        link, name = self._link, f"graphBuffer{number}"
        executors = max(1, min(blob.executors, capabilities.max_executors, self._options.executors or blob.executors))
        until_s = self._now_s + self._options.allocate_timeout_s
        created = link.open(name, len(blob.data), self._now_s)
        yield created
        buffer: Stream = created.value
        status = self._status(until_s)
        yield self._write(self._monitor, commands.graph_command(Graph.VERIFY, number, name, third=executors))
        yield self._write(buffer, memoryview(blob.data)[: commands.VERIFY_BYTES])
        yield status
        self._judge(status, "graph", f"graph {number} was refused")
        status = self._status(until_s)
        answers = [
            link.expect(buffer, size, until_s) for size in (commands.TENSOR.size, commands.TENSOR.size, commands.STATUS.size)
        ]
        yield self._write(self._monitor, commands.graph_command(Graph.ALLOCATE, number, name, third=executors))
        yield self._write(buffer, blob.data)
        yield status
        self._judge(status, "graph", f"graph {number} was not allocated")
        yield from answers
        tensor_in, tensor_out = bytes(answers[0].value), bytes(answers[1].value)
        stages = int.from_bytes(answers[2].value, "little")
        for tensor, size, what in ((tensor_in, blob.inputs_size, "inputs"), (tensor_out, blob.outputs_size, "outputs")):
            told = commands.TENSOR.unpack(tensor)[4]
            if told != size:
                raise ProtocolError(f"the stick sees {told} bytes of {what} in graph {number}, whose blob says {size}")
        status = self._status(until_s)
        yield self._write(self._monitor, commands.graph_command(Graph.ALLOCATION_VERIFY, number))
        yield status
        self._judge(status, "graph", f"graph {number} does not fit on the stick")
        depth = 2 * executors
        fifos: List[Stream] = []
        for fifo, tensor, size, reads in (
            (2 * number, tensor_in, blob.inputs_size * depth, False),
            (2 * number + 1, tensor_out, FIFO_OUT_SIZE, True),
        ):
            created = link.open(f"FIFO{fifo}", size, self._now_s)
            yield created
            status = self._status(until_s)
            yield self._write(self._monitor, commands.fifo_command(fifo, f"FIFO{fifo}", depth, tensor, host_reads=reads))
            yield status
            self._judge(status, "graph", f"a FIFO of graph {number} was refused")
            fifos.append(created.value)
        self._graphs.append(_Loaded(number, blob, depth, stages, buffer, fifos[0], fifos[1]))

    def _infer(self) -> Script:
        """Tensor, trigger and status of one job, then the next: so the order of triggers is that of tensors."""
        patience_s = self._options.infer_timeout_s
        while True:
            job = self._next()
            if job is None:
                self._more = Wait()
                yield self._more
                continue
            graph = self._graphs[job.graph]
            result = self._link.expect(graph.out, graph.blob.outputs_size)
            if not graph.flying:
                graph.progress_s = self._now_s
            graph.flying.append(job._replace(sent_s=self._now_s, result=result))
            yield self._link.write(graph.into, job.tensor, self._now_s, patience_s)
            status = self._status(self._now_s + patience_s)
            yield self._write(
                self._monitor, commands.graph_command(Graph.TRIGGER, graph.number, "", graph.fifo_in, graph.fifo_out), patience_s
            )
            yield status
            self._judge(status, "infer", f"an inference of graph {graph.number} was refused")

    def _ping(self, device: Stream) -> Script:
        due_s = self._now_s
        while self.phase != "closing":
            yield self._write(device, commands.device_command(Device.PING))
            due_s = max(due_s + self._options.ping_s, self._now_s)
            yield due_s

    def _watch(self, device: Stream, each_s: float) -> Script:
        due_s = self._now_s
        while self.phase != "closing":
            yield from self._look(device)
            due_s = max(due_s + each_s, self._now_s)
            yield due_s

    def _look(self, device: Stream) -> Script:
        answer = self._link.expect(device, commands.THERMAL.size, self._now_s + self._options.reply_timeout_s)
        yield self._write(device, commands.device_command(Device.THERMAL))
        yield answer
        level, temperature_c = commands.THERMAL.unpack(answer.value)[:2]
        self._events.append(Thermal(int(level) if level in (0, 1, 2) else 0, temperature_c))

    def _close(self, orderly: bool) -> Script:
        link = self._link
        for graph in self._graphs if orderly else []:
            yield self._write(graph.into, commands.FIFO_WAKE)
            for fifo, stream in ((graph.fifo_in, graph.into), (graph.fifo_out, graph.out)):
                yield from self._order(commands.fifo_release(fifo), f"FIFO {fifo} was not released")
                yield link.close(stream, self._now_s)
            yield from self._order(commands.graph_command(Graph.DEALLOCATE, graph.number), f"graph {graph.number} was not released")
            yield link.close(graph.buffer, self._now_s)
        for monitor in (self._device, self._monitor) if orderly else ():
            if monitor is not None:
                yield link.close(monitor, self._now_s)
        self._leaving = True
        yield link.reset(self._now_s)
        self._end(Closed())

    # -- steps --------------------------------------------------------------------------------------------------------

    def _write(self, stream: Optional[Stream], data: Data, patience_s: Optional[float] = None) -> Wait:
        assert stream is not None
        return self._link.write(stream, data, self._now_s, patience_s)

    def _status(self, until_s: float) -> Wait:
        """The answer to what graphMonitor is told next."""
        assert self._monitor is not None
        return self._link.expect(self._monitor, commands.STATUS.size, until_s)

    def _judge(self, answer: Wait, reason: str, what: str) -> None:
        status = commands.STATUS.unpack(answer.value)[0]
        if status:
            raise _Refused(reason, f"{what}: {commands.status_words(status)}")

    def _order(self, command: bytes, what: str) -> Script:
        status = self._status(self._now_s + self._options.reply_timeout_s)
        yield self._write(self._monitor, command)
        yield status
        self._judge(status, "protocol", what)

    def _next(self) -> Optional[_Job]:
        """The oldest job whose graph has room."""
        for place, job in enumerate(self._jobs):
            graph = self._graphs[job.graph]
            if len(graph.flying) < graph.depth:
                del self._jobs[place]
                return job
        return None

    def _collect(self) -> None:
        for graph in self._graphs:
            while graph.flying:
                job = graph.flying[0]
                if job.result is None or not job.result.done:
                    break
                graph.flying.popleft()
                graph.progress_s = self._now_s
                self._events.append(Result(job.tag, job.graph, job.result.value, self._now_s - job.sent_s))

    def _patience_s(self, graph: _Loaded) -> float:
        return graph.progress_s + self._options.infer_timeout_s

    # -- running ------------------------------------------------------------------------------------------------------

    def _turn(self, now_s: float) -> None:
        """It is `now_s`. Time in which nobody listened is left out: nobody can have heard the stick."""
        if now_s > self._heard_s + LATE_S and now_s > self._due_s() + self._slept_s + LATE_S:
            self._slept_s = now_s - self._due_s()
        self._heard_s = now_s
        self._now_s = max(self._now_s, now_s - self._slept_s)

    def _begin(self, script: Script) -> None:
        self._scripts.append(_Running(script))

    def _run(self) -> None:
        """Let every script go on as far as it can."""
        if self._more is not None and self._jobs:
            self._more.end()
        for running in self._scripts:
            while running.may_go_on(self._now_s):
                self._step(running)
        if any(running.step == NEVER_S for running in self._scripts):
            self._scripts = [running for running in self._scripts if running.step != NEVER_S]

    def _step(self, running: _Running) -> None:
        step: Step = NEVER_S
        try:
            step = next(running.script)
        except StopIteration:
            pass
        except _Refused as refused:
            self._lose(*refused.args)
        except ProtocolError as error:
            self._lose("protocol", str(error))
        running.step = NEVER_S if self.ended else step

    def _lose(self, reason: str, detail: str) -> None:
        self._link.out.clear()
        self._end(Lost(reason, detail))

    def _end(self, event: Event) -> None:
        if self.ended:
            return
        self.phase = "ended"
        self._events.append(event)
        self._scripts.clear()
        self._jobs.clear()
        self._graphs.clear()
