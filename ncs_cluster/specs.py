"""The settings, read and validated by `config`, cut into the branch that each process needs.

Plain values that walk over the wire. A child gets its own branch over its channel, never on its command line: some hold secrets.
Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import Annotated, Any, Dict, List, Optional, Set, Tuple

from msgspec import Meta, Struct

from ncs_cluster.types import CameraName, GraphName, StickId


class RuntimeSpec(Struct, frozen=True):
    """An interpreter a child runs under, and what is added to its environment."""

    python: str
    env: Dict[str, str] = {}


class GraphSpec(Struct, frozen=True):
    """A graph folder, read. `labels` are the names of its classes, by id."""

    name: GraphName
    model: str
    """Absolute path of the model file."""
    decoder: str
    """The name of a decoder."""
    labels: Dict[int, str] = {}
    threshold: float = 0.6
    colour: str = "BGR"
    """Channel order the graph was trained on: "BGR" or "RGB"."""
    resize: str = "stretch"
    """"stretch" or "letterbox"."""
    align: str = "centre"
    """Where a letterboxed frame lies in the input: "centre" or "top-left"."""
    padding: int = 114
    """Grey value 0..255 around a letterboxed frame; 114 as in the training of YOLO detectors."""
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted inside the graph, per channel in `colour` order, pixels 0..255."""
    scale: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Divided by inside the graph, after the mean."""
    decoder_options: Dict[str, Any] = {}
    """Fields of the decoder's `Options`."""
    extra_outputs: List[str] = []
    """Tensors or layers inside the model that are outputs beside its own; a blob cannot have them."""
    blob: Optional[str] = None
    """Absolute path of the graph compiled for a Myriad X; None where no backend needs it."""


class StickSpec(Struct, frozen=True):
    """One stick and how it is driven."""

    id: StickId
    port: str
    """Where it is plugged in, for people."""
    backend: str
    options: Dict[str, Any] = {}
    """Fields of the backend's `Options`."""
    runtime: str = "default"
    pool: str = "default"
    """The PoolSpec it belongs to."""
    exclusive_boot: bool = False
    """It boots while no other stick does: the port at which it comes back is not known yet."""
    simulated: bool = False
    """Not real: faults may be injected."""
    on_host: bool = False
    """It computes with this machine's processors: its inference times say nothing of its own heat."""
    name: Optional[str] = None
    """The operator's name of its port."""


class DiscoverySpec(Struct, frozen=True):
    """Where real sticks are looked for, and how those that are found are driven."""

    backend: str
    options: Dict[str, Any] = {}
    runtime: str = "default"
    sysfs: str = "/sys"
    stagger_s: float = 0.3
    """Least time between the boots of two sticks."""
    pool: str = "default"
    """The PoolSpec that its sticks belong to."""
    simulated: bool = False
    """Not real: faults may be injected."""
    exclude: List[str] = []
    """Ports ("1-1.2"), or chains of any bus ("1.2"), whose devices are left alone."""
    names: Dict[str, str] = {}
    """The operator's names of ports or chains."""


class CameraSpec(Struct, frozen=True):
    """One frame source and how its frames are drawn."""

    name: CameraName
    source: str
    """The name of a source plugin."""
    options: Dict[str, Any]
    """Fields of the source's `Options`. May hold a password."""
    shown: str
    """The source for people, passwords taken out."""
    weight: float = 1.0
    graphs: List[GraphName] = []
    """Graphs that run on its frames; empty: all."""
    ordered: bool = False
    """Every frame counts; the sticks set the pace (--every-frame, images, folders)."""
    picture: str = "live"
    background: str = "keep"
    window: bool = False
    runtime: str = "default"
    written: Dict[str, int] = {}
    """The newest frame of each graph whose result an earlier run has written: later frames are processed."""
    ahead: int = 2
    """Slots granted in advance: one being written, the others for the next frames."""
    resumable: bool = False
    """A later run does the frames that are not finished at the end: they have no record."""
    sinks: Optional[List[str]] = None
    """Names of the sinks that get its results; None: all that are no job's."""

    def __repr__(self) -> str:
        """Without the options: an address may hold a password."""
        return f"CameraSpec({self.name!r}, {self.source!r}, {self.shown!r})"


class DieFigures(Struct, frozen=True):
    """How one stick warms by working, as `ncsctl calibrate` found it. R, C and power apart cannot be told; their products can."""

    die_rise_k: float
    """How much warmer than the case the die settles by full work."""
    die_s: float
    """Time constant of that, the case held at its temperature."""
    case_rise_k: float
    """How much warmer than the air the case settles by full work."""
    case_s: float
    """Time constant of that, of the case alone."""
    sigma: float = 0.0
    """Relative standard deviation of the largest of their errors."""


class ClusterSpec(Struct, frozen=True):
    """How sticks take turns."""

    cluster_size: int = 0
    policy: str = "all"
    switch_interval_s: float = 10.0
    switch_temp_c: float = 65.0
    time_scale: float = 1.0
    """Heat, telemetry, ageing, dwell and interval all run this many times faster (demos and tests)."""
    policy_options: Dict[str, Any] = {}
    """Fields of the policy's `Options`."""
    calibrated: Dict[StickId, DieFigures] = {}
    """Of sticks that `ncsctl calibrate` has measured."""


class PoolSpec(Struct, frozen=True):
    """Sticks that one backend drives, how they are found, and how they take turns among themselves."""

    clusters: ClusterSpec
    sticks: List[StickSpec] = []
    """Sticks of a counted backend (simulated, CPU)."""
    discovery: Optional[DiscoverySpec] = None
    """How sticks of a matched backend are found; None for a counted one."""
    name: str = "default"


class FallbackSpec(Struct, frozen=True):
    """The pool that works only while no other pool can."""

    pool: PoolSpec
    """Counted sticks that compute with this machine's processors."""
    shown: str = "the CPU"
    """What it is, for people."""
    standby: bool = True
    """Its workers always run, with their graphs loaded; False: they are started when the other sticks run short."""


class OverflowSpec(Struct, frozen=True):
    """Neighbours that take frames which the sticks of this host cannot: a pool of one worker."""

    pool: PoolSpec
    shown: str
    """The server at which neighbours are found, for people."""


class SinkSpec(Struct, frozen=True):
    """One place where results are written, by a process of its own."""

    kind: str
    """The name of a sink plugin."""
    options: Dict[str, Any]
    """Fields of the sink's `Options`. May hold a password."""
    shown: str
    """The place for people, passwords taken out."""
    name: str = ""
    """By its place among --results: empty for the first, then "2", "3", ...; of a job its format, behind the job's number."""
    ledger: Optional[str] = None
    """Absolute path of the ledger of the job whose results it writes; None: it is no job's."""
    records: bool = True
    """It gets records. False: it only tells of the daemon."""

    def __repr__(self) -> str:
        """Without the options: an address may hold a password."""
        return f"SinkSpec({self.kind!r}, {self.shown!r}, {self.name!r})"


class JobSpec(Struct, frozen=True):
    """A job: an ordered stream from its ledger's items to sinks of its own."""

    camera: CameraSpec
    sinks: List[SinkSpec]
    graph: GraphSpec
    """As the daemon had it when the job began."""
    out: str
    """Absolute path of its folder."""
    sources: List[str] = []
    """What it works on, for people; not more than a few."""
    id: Annotated[str, Meta(pattern="^[0-9]{0,9}$")] = ""
    """The number that the daemon gave it: "1", "2", ...; empty for the job of a daemon that runs for it alone."""
    started_at: float = 0.0
    """Unix seconds."""


class JobRecord(Struct, frozen=True):
    """A job and how far it is, as a daemon keeps it over its restarts."""

    job: JobSpec
    state: str = "running"
    """running|paused|done|failed|cancelled"""
    detail: Optional[str] = None
    """Why it failed."""
    done: int = 0
    expected: int = 0
    failed: int = 0
    """Frames."""


def is_local(host: str) -> bool:
    """True when only programs of this machine reach the address."""
    # imported here: children without a page do not pay for the module
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class GatewaySpec(Struct, frozen=True):
    """Where the web page is served, and to whom."""

    host: str
    port: int
    token: Optional[str] = None
    allowed_hosts: List[str] = []
    token_file: Optional[str] = None
    """Absolute path of the file that `token` was read from; the gateway reads it again when it changes."""
    viewer_token: Optional[str] = None
    """The token that opens the pictures of cameras and nothing else."""
    viewer_token_file: Optional[str] = None
    apis: List[str] = []
    """APIs of other inference servers that are answered too: "deepstack", "oip"."""
    grpc_address: Optional[Tuple[str, int]] = None
    """Host and port where the Open Inference Protocol is answered over gRPC."""
    api_address: Optional[Tuple[str, int]] = None
    """Host and port where they are answered too, without the page."""
    api_clients: List[str] = []
    """Addresses and networks that need no token at `api_address` and `grpc_address`."""
    api_weight: float = 1.0
    """The share of the sticks that pictures of those APIs get, beside the cameras' weights."""
    fleet: Dict[str, Any] = {}
    """Options of the sink that tells the fleet of this daemon, for the page of all hosts; empty: there is none. May hold a
    password."""

    @property
    def local(self) -> bool:
        """True when only programs of this machine reach the address."""
        return is_local(self.host)

    @property
    def api_local(self) -> bool:
        """The same of `api_address`."""
        return self.api_address is None or is_local(self.api_address[0])

    @property
    def grpc_local(self) -> bool:
        """The same of `grpc_address`."""
        return self.grpc_address is None or is_local(self.grpc_address[0])

    @property
    def takes_pictures(self) -> bool:
        """Whether other programs may send pictures."""
        return bool(self.apis) or self.grpc_address is not None

    def __repr__(self) -> str:
        """The token is not for logs."""
        return f"GatewaySpec({self.host!r}, {self.port}, token={'***' if self.token else None})"


class IntakeSpec(Struct, frozen=True):
    """A process that takes pictures of other programs by their protocol."""

    name: str
    """The protocol: "frigate"."""
    options: Dict[str, Any]
    shown: str
    """Where it listens, for people."""
    weight: float = 1.0
    """Its share of the sticks, beside the cameras' weights."""


class FrigateSpec(Struct, frozen=True):
    """Options of the intake "frigate": where Frigate's `zmq` detector is served, and how its frames are read and answered."""

    endpoint: str
    """Of ZeroMQ: "tcp://ADDRESS:PORT" or "ipc://PATH"."""
    deadline_ms: int = 180
    """After so long a frame is answered with zeros: Frigate waits 200 ms, and then connects anew."""
    colours: str = "RGB"
    """Channel order of Frigate's tensors, its `input_pixel_format`: "RGB" or "BGR"."""
    graph: Optional[str] = None
    """For clients whose `model.path` names none."""
    labelmap: Optional[Dict[int, str]] = None
    """Names by id as Frigate has them; None: its own labelmap, COCO."""
    socket: str = ""
    """Absolute path at which the process waits for a supervisor."""
    keep_s: float = 60.0
    """How long it answers without a supervisor after the daemon has stopped."""


class OverflowIntakeSpec(Struct, frozen=True):
    """Options of the intake "overflow": frames of other hosts of the fleet."""

    url: str
    node: str
    """Of this host."""
    user: Optional[str] = None
    password_file: Optional[str] = None
    """This one and those below: absolute paths."""
    ca_file: Optional[str] = None
    nkey_file: Optional[str] = None
    credentials_file: Optional[str] = None


class FanSpec(Struct, frozen=True):
    """A fan, and the headroom of the sticks by which it turns: see core.fan."""

    chip: str
    """What the file `name` of its hwmon folder says."""
    channel: int = 1
    """Its file is pwmN."""
    sysfs: str = "/sys"
    off_above_k: float = 20.0
    full_below_k: float = 8.0
    hysteresis_k: float = 2.0
    least_run_s: float = 60.0
    least_duty: float = 0.3
    """The slowest speed at which it surely turns, 0 to 1."""


class AmbientSpec(Struct, frozen=True):
    """A sensor of the air around the sticks: a file of millidegrees."""

    file: str = ""
    """Relative to `sysfs`; empty: tempN_input of `chip`."""
    chip: str = ""
    channel: int = 1
    sysfs: str = "/sys"


class Settings(Struct, frozen=True):
    """All settings of the daemon."""

    pools: List[PoolSpec]
    """In the order of the file."""
    graphs: List[GraphSpec]
    cameras: List[CameraSpec]
    runtimes: Dict[str, RuntimeSpec]
    runtime_dir: str
    state_dir: str
    sinks: List[SinkSpec] = []
    gateway: Optional[GatewaySpec] = None
    log_level: str = "info"
    jobs: List[JobSpec] = []
    """Jobs for which alone this daemon runs: it ends when they are done."""
    notices: List[str] = []
    """Lines the operator should read at start ("no stick found: working on this CPU")."""
    fan: Optional[FanSpec] = None
    ambient: Optional[AmbientSpec] = None
    intakes: List[IntakeSpec] = []
    history_days: int = 30
    """How long temperatures, rates and events are kept in the state directory; 0: not at all."""
    fallback: Optional[FallbackSpec] = None
    overflow: Optional[OverflowSpec] = None

    @property
    def all_pools(self) -> List[PoolSpec]:
        """The pools, then that of the fallback and that of the neighbours."""
        return [*self.pools, *(each.pool for each in (self.fallback, self.overflow) if each is not None)]

    @property
    def sticks(self) -> List[StickSpec]:
        """Sticks of `pools` with a counted backend."""
        return [stick for pool in self.pools for stick in pool.sticks]

    @property
    def drivers(self) -> Set[Tuple[str, str]]:
        """Backend and runtime of every worker there may be."""
        counted = {(stick.backend, stick.runtime) for pool in self.all_pools for stick in pool.sticks}
        return counted | {(found.backend, found.runtime) for found in self.discoveries}

    @property
    def discoveries(self) -> List[DiscoverySpec]:
        return [pool.discovery for pool in self.pools if pool.discovery is not None]

    @property
    def simulated(self) -> bool:
        """True when every stick is simulated, but those of the fallback: only then faults may be injected."""
        driven = [*(stick.simulated for stick in self.sticks), *(found.simulated for found in self.discoveries)]
        return bool(self.sticks) and all(driven)
