"""The host's side of one booted stick, from its first PING to its RESET, in the order of the vendor's plugin.

    open       PING, a pause, deviceMonitor, capabilities, graphMonitor, power and DMA settings
    allocate   of each graph: its buffer, VERIFY, ALLOCATE with the whole blob, two tensors described, the check, a FIFO in and out
    infer      a tensor into the FIFO in, TRIGGER, its status; some time later the outputs on the FIFO out, in order of the triggers
    watch      from the capabilities on: a ping of the firmware's watchdog each second, and the temperature
    close      FIFOs, graphs and streams, then RESET: the chip goes back to its boot ROM. With work in flight RESET at once

A script of scripts.py continues when the reply, payload or time it waits for has come; results.py says which result is whose, and
which is overdue. A protocol violation or a time-out ends the session with `Lost`: no byte is taken or sent after it, because a late
answer could be matched to another request. CPython 3.9.

How the owner of the USB stick drives a session:
    session.start(now)                          then, on every event:
    for data in session.out(): pipe.send(data)          one element is one transfer; it may be split, two must never be joined
    read exactly session.wanted bytes                   always one pending read; it may be split
    session.received(data, now)                         with all of these bytes, which then belong to the session; before tick
    session.tick(now) when session.due_s has come
    session.events()                                    after each of these calls
    session.fail("gone", detail)                        when the transport has ended
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence

from ncs_cluster.errors import ProtocolError
from ncs_cluster.xlink import scripts
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.events import Closed, Event, Lost, Ready, Thermal
from ncs_cluster.xlink.frames import FIRST_EVENT, FrameType, Header
from ncs_cluster.xlink.link import NEVER_S, Data, Link, Stream, UnexpectedPayload, Wait
from ncs_cluster.xlink.results import Lane, Patience, Results
from ncs_cluster.xlink.scripts import Refused, Script, Step

GOODBYE = Header(FIRST_EVENT, FrameType.RESET_REQ).encode()
"""One transfer that makes running firmware reset the chip in any state of the protocol."""
LATE_S = 1.0
"""Seconds: a call this much after `due_s` means that the host was suspended; that time counts towards no time-out."""
LATE_TICK_S = 0.05
"""Seconds: a tick this much after `due_s` means that the host stood still; bytes that came in time may not have been read."""


class Options(NamedTuple):
    """How to treat a stick. Times in seconds."""

    executors: Optional[int] = None
    """Inferences executed at once per graph; None: as many as blob and stick allow. The depth is twice that."""
    settle_s: float = 1.0
    """Between the first PING and the next request, as with the vendor; whether the pause is needed is not known."""
    ping_s: float = 1.0
    thermal_s: Optional[float] = 1.0
    """Between temperatures; None: only when `look` is called."""
    reply_timeout_s: float = 12.0
    """The vendor's time-out of a watchdog ping."""
    allocate_timeout_s: float = 30.0
    infer_timeout_s: float = 20.0
    """From the trigger, or from the result before, to a result, as long as the usual time is unknown or the firmware throttles. A
    stick with several graphs answers them in turns, so for each graph the time-out is multiplied by their number."""
    shortest_timeout_s: float = 1.0
    """The same once the usual time is known: results.PATIENCE usual times, but no less than this."""
    ask_s: float = 0.5
    """For the answer of a stick without a result to the question for its throttle level."""
    prove_every: int = 1000
    """Results after which the stick runs empty once, so that they are counted."""
    close_timeout_s: float = 2.0


class _Job(NamedTuple):
    """An inference whose tensor has not been sent."""

    tag: int
    graph: int
    tensor: Data


class _Running:
    """A script and what it waits for."""

    __slots__ = ("script", "step")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.step: Step = 0.0
        """NEVER_S after the script's end."""

    def may_go_on(self, now_s: float) -> bool:
        return self.step.done if isinstance(self.step, Wait) else self.step <= now_s


class Session:
    """One stick with its graphs. `blobs[n]` is graph n. No method raises because of the stick, or after the end."""

    def __init__(self, blobs: Sequence[Blob], options: Options = Options()) -> None:  # noqa: B008  (a tuple)
        self._blobs, self._options = list(blobs), options
        self._link = Link(options.reply_timeout_s)
        patience = Patience(options.infer_timeout_s, options.shortest_timeout_s, options.ask_s)
        self._results = Results(self._link, patience, options.prove_every)
        self._jobs: Deque[_Job] = deque()
        self._more: Optional[Wait] = None
        self._events: List[Event] = []
        self._scripts: List[_Running] = []
        self._called_s = self._suspended_s = 0.0
        self._leave_by_s = NEVER_S
        self._leaving = False
        self._device: Optional[Stream] = None
        self._monitor: Optional[Stream] = None
        self.phase = "opening"
        """"opening", "allocating", "ready", "closing" or "ended"."""

    # -- public -------------------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> None:
        """Begin; the stick is claimed."""
        self._link.now_s = self._called_s = float(now_s)
        self._begin(self._open())
        self._run()

    @property
    def ended(self) -> bool:
        """True after Lost or Closed: the session sends, takes and waits for nothing."""
        return self.phase == "ended"

    @property
    def wanted(self) -> int:
        """Bytes of the pending read; changes in `received` only."""
        return self._link.wanted

    def out(self) -> List[Data]:
        """Transfers to write, in order."""
        data, self._link.out = self._link.out, []
        return data

    def events(self) -> List[Event]:
        """Events since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def due_s(self) -> Optional[float]:
        """When `tick` must be called unless another event comes first."""
        due_s = NEVER_S if self.ended else self._due_s()
        return None if due_s == NEVER_S else due_s + self._suspended_s

    def _due_s(self) -> float:
        """`due_s` on the session's clock, which leaves out suspended time."""
        due_s = min(self._link.due_s(), self._leave_by_s, self._results.due_s())
        for running in self._scripts:
            if isinstance(running.step, float):
                due_s = min(due_s, running.step)
        return due_s

    @property
    def in_flight(self) -> int:
        """Inferences submitted and not answered."""
        return len(self._jobs) + self._results.on_stick + self._results.held

    def submit(self, tag: int, graph: int, tensor: Data, now_s: float) -> None:
        """Begin an inference: `inputs_size` bytes, each input at its offset, unchanged until its Result. Exactly one Result
        follows, or the session ends. Inferences above the depth wait here. Raises ValueError for a wrong size or before Ready."""
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
        """Request a Thermal now, in addition to the periodic ones. Ignored while closing."""
        if self._device is not None and self.phase not in ("closing", "ended"):
            self._turn(now_s)
            self._begin(self._look(self._link, self._device))
            self._run()

    def received(self, data: Data, now_s: float) -> None:
        """Take the `wanted` bytes."""
        if self.ended:
            return
        self._turn(now_s)
        try:
            self._link.received(data)
        except ProtocolError as error:
            too_many = isinstance(error, UnexpectedPayload)
            self._lose("protocol", self._results.doubt(str(error), too_many=True) if too_many else str(error))
            return
        self._events += self._results.collect()
        self._run()
        if self._link.left and not self.ended:
            self._lose("gone", "the stick has reset itself")

    def tick(self, now_s: float) -> None:
        """Check time-outs. Call only after `received` has taken every byte that came."""
        if self.ended:
            return
        host_stood_still = now_s >= self._due_s() + self._suspended_s + LATE_TICK_S
        self._turn(now_s)
        due_s = self._due_s()
        if now_s >= due_s + self._suspended_s:
            # adding and subtracting the suspended time may have lost the last bit
            self._link.now_s = max(self._link.now_s, due_s)
        overdue = self._link.overdue()
        if self._link.now_s >= self._leave_by_s:
            overdue = overdue or "no reply to RESET"
        if not overdue and self._device is not None and self._results.must_ask(host_stood_still):
            self._begin(self._look(self._link, self._device))
        else:
            overdue = overdue or self._results.overdue()
        if overdue:
            self._lose("hang", overdue)
            return
        if self._results.may_settle:
            if host_stood_still and self._device is not None:
                self._results.ask_if_empty()
                self._begin(self._listen(self._link, self._device))
            else:
                self._events += self._results.settle()
        self._run()

    def doubt(self, detail: str) -> str:
        """`detail`, why the owner ends the session, and what it means for earlier results."""
        return self._results.doubt_of_silence(detail)

    def close(self, now_s: float) -> None:
        """Begin to close: Closed follows when the stick has acknowledged RESET, or Lost after `close_timeout_s`."""
        if self.ended or self.phase == "closing":
            return
        self._turn(now_s)
        idle = self.phase == "ready" and not self.in_flight
        self.phase = "closing"
        self._leave_by_s = self._link.now_s + self._options.close_timeout_s
        # requests that were sent still get their answers, no others are sent
        self._scripts = [running for running in self._scripts if idle and running.step is not self._more]
        self._scripts = [running for running in self._scripts if not isinstance(running.step, float)]
        self._begin(self._close(idle))
        self._run()

    def fail(self, reason: str, detail: str) -> None:
        """The transport has lost the stick. After our RESET this is the regular end."""
        if self._leaving:
            self._end(Closed())
        elif not self.ended:
            self._lose(reason, detail)

    # -- scripts ------------------------------------------------------------------------------------------------------

    def _open(self) -> Script:
        link, options = self._link, self._options
        yield from scripts.greet(link, options.settle_s)
        self._device, capabilities = yield from scripts.meet(link)
        self._begin(self._each(options.ping_s, scripts.feed_watchdog, self._device))
        if options.thermal_s is not None:
            self._begin(self._each(options.thermal_s, self._look, self._device))
        self._monitor = yield from scripts.prepare(link, self._device)
        self.phase = "allocating"
        for number, blob in enumerate(self._blobs):
            executors = max(1, min(blob.executors, capabilities.max_executors, options.executors or blob.executors))
            graph = yield from scripts.allocate(link, self._monitor, number, blob, executors, options.allocate_timeout_s)
            self._results.lanes.append(Lane(graph, link.now_s))
        self.phase = "ready"
        graphs = [lane.graph for lane in self._results.lanes]
        self._events.append(Ready(capabilities, tuple(graph.depth for graph in graphs), tuple(graph.stages for graph in graphs)))
        yield from self._infer(self._monitor)

    def _infer(self, monitor: Stream) -> Script:
        while True:
            job = self._next()
            if job is None:
                self._more = Wait()
                yield self._more
                continue
            result = self._results.begin(job.graph, job.tag)
            graph = self._results.lanes[job.graph].graph
            yield from scripts.infer(self._link, monitor, graph, job.tensor, result, self._options.infer_timeout_s)

    def _each(self, period_s: float, script: Callable[[Link, Stream], Script], device: Stream) -> Script:
        due_s = self._link.now_s
        while self.phase != "closing":
            yield from script(self._link, device)
            due_s = max(due_s + period_s, self._link.now_s)
            yield due_s

    def _look(self, link: Link, device: Stream) -> Script:
        level, temperature_c = yield from scripts.look(link, device)
        self._results.throttle(level)
        self._events.append(Thermal(int(level) if level in (0, 1, 2) else 0, temperature_c))

    def _listen(self, link: Link, device: Stream) -> Script:
        """The stick's answer comes behind all its results, however late the host reads them."""
        yield from self._look(link, device)
        self._events += self._results.settle()

    def _close(self, orderly: bool) -> Script:
        link, device, monitor = self._link, self._device, self._monitor
        if orderly and device is not None and monitor is not None:
            for lane in self._results.lanes:
                yield from scripts.release(link, monitor, lane.graph)
            yield link.close(device)
            yield link.close(monitor)
        self._leaving = True
        yield link.reset()
        self._end(Closed())

    def _next(self) -> Optional[_Job]:
        """The oldest job whose graph has a free place; None also while results are in doubt."""
        if self._results.in_doubt:
            return None
        for place, job in enumerate(self._jobs):
            if self._results.lanes[job.graph].has_room:
                del self._jobs[place]
                return job
        return None

    # -- running ------------------------------------------------------------------------------------------------------

    def _turn(self, now_s: float) -> None:
        """Set the clock to `now_s` minus the time in which the host was suspended: it could not have received the stick's bytes."""
        if now_s > self._called_s + LATE_S and now_s > self._due_s() + self._suspended_s + LATE_S:
            self._suspended_s = now_s - self._due_s()
        self._called_s = now_s
        self._link.now_s = max(self._link.now_s, now_s - self._suspended_s)

    def _begin(self, script: Script) -> None:
        self._scripts.append(_Running(script))

    def _run(self) -> None:
        """Continue every script as far as possible."""
        if self._more is not None and self._jobs:
            self._more.end()
        for running in self._scripts:
            while running.may_go_on(self._link.now_s):
                self._step(running)
        if any(running.step == NEVER_S for running in self._scripts):
            self._scripts = [running for running in self._scripts if running.step != NEVER_S]

    def _step(self, running: _Running) -> None:
        step: Step = NEVER_S
        try:
            step = next(running.script)
        except StopIteration:
            pass
        except Refused as refused:
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
        self._results.clear()
