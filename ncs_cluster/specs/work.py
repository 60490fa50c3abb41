"""What sticks work on, and where the results go. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, Any, Dict, List, Optional, Tuple

from msgspec import Meta, Struct

from ncs_cluster.types import CameraName, GraphName

GUEST = "@"
"""In the name of a guest, a graph that came from a NATS server for jobs; no graph of the settings has it."""


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

    @property
    def is_guest(self) -> bool:
        """Only jobs that name it run it."""
        return GUEST in self.name


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
    routine: str = "info"
    """The level of its events that tell of no trouble: "info", or "debug" for one of many that come and go."""

    def __repr__(self) -> str:
        """Without the options: an address may hold a password."""
        return f"CameraSpec({self.name!r}, {self.source!r}, {self.shown!r})"


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


class ChunkOf(Struct, frozen=True):
    """The job over hosts that a job of this daemon is a chunk of."""

    job: Annotated[str, Meta(min_length=1, max_length=64)]
    """As the NATS server has it."""
    title: Annotated[str, Meta(min_length=1, max_length=64)]
    """For people: "photos/2024"."""


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
    chunk: Optional[ChunkOf] = None
    """None: it is a job by itself."""


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
