"""What `ncsctl bench` has measured: DIR/bench.json is a Report as JSON. Fields may be added, not renamed."""

from __future__ import annotations

from msgspec import Struct

SCHEMA = 1


class Spread(Struct, frozen=True):
    """Median, least and greatest value of the repeats."""

    median: float
    least: float
    most: float


class Latency(Struct, frozen=True):
    """Milliseconds from the opening of a picture's file to its decoded result, over all repeats at the greatest count."""

    p50: float
    p90: float
    p99: float


class Batch(Struct, frozen=True):
    """Work on so many pictures."""

    count: int
    seconds: Spread
    """From the first picture to the last written result."""
    with_start: Spread
    """`seconds`, and the start before it."""


class Row(Struct, frozen=True, kw_only=True):
    """One mode on so many devices."""

    mode: str
    devices: int
    repeats: int
    """Runs that were finished."""
    error: str | None = None
    """Why there is no figure, or why later repeats are missing."""
    start_s: Spread | None = None
    """From the start of the first process until all devices are open, the graph is loaded and a picture answered."""
    batches: list[Batch] = []
    """One for each count, ascending."""
    per_second: Spread | None = None
    """Pictures per second at the greatest count, without the start."""
    latency_ms: Latency | None = None
    times_serial: float | None = None
    """`per_second` beside that of serial, medians."""
    efficiency: float | None = None
    """`per_second` beside that of the same mode on its fewest devices times the number of devices; 1: scales perfectly."""
    break_even: int | None = None
    """From so many pictures on it is ahead of serial, start included: start + pictures x time of each, from medians. None: never,
    or serial was not measured."""
    differing: list[str] = []
    """Pictures whose results are not those of the first row."""
    load: Spread | None = None
    """1-minute load average of the machine at the end of each run."""
    others: Spread | None = None
    """CPU that other programs took during each run; 1: one core."""


class Heat(Struct, frozen=True):
    """Temperatures at one moment; None: not known."""

    at_s: float
    """Since the begin of the work."""
    celsius: dict[str, float | None]


class Sustained(Struct, frozen=True, kw_only=True):
    """Work without a pause, on all devices."""

    mode: str
    devices: int
    seconds: float
    pictures: int
    first_per_second: float
    """Pictures per second in the first tenth of the time, which begins with the first result."""
    last_per_second: float
    """In the last tenth."""
    temperatures: list[Heat]
    load: float
    others: float


class Machine(Struct, frozen=True):
    processor: str
    cores: int
    python: str
    system: str


class Report(Struct, frozen=True, kw_only=True):
    """DIR/bench.json."""

    schema: int = SCHEMA
    version: str
    """Of ncs_cluster."""
    at: str
    """When it was made, ISO 8601 with the offset from UTC."""
    complete: bool
    """False: it was interrupted, and later runs are missing."""
    machine: Machine
    backend: str
    graph: str
    pictures: int
    """Different ones; they are taken in turn where a count is greater."""
    size: tuple[int, int]
    """Width and height that larger pictures are scaled down to."""
    counts: list[int]
    repeats: int
    """That were asked for."""
    rows: list[Row]
    sustained: Sustained | None = None
    sustained_error: str | None = None
    """Why `sustained` is missing, where it was asked for."""
    recommendation: str
