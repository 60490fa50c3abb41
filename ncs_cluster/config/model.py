"""Every key: its type, range, default and description. Flags, environment, file and docs are all made from here.

A key of `Root` is a flag (`cluster_size` is --cluster-size), an environment variable (NCS_CLUSTER_CLUSTER_SIZE) and a key of the
file; tables are reached with --set. What a backend or a source understands is read from its own `Options`. The other tables are in
`tables` and `peripheral_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional, get_args

from pydantic import Field, create_model

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config.peripheral_tables import Ambient, Fan, FrigateTable, Mqtt, Nats, Notify, OverflowTable
from ncs_cluster.config.table import Table, key, named, options_table
from ncs_cluster.config.tables import Camera, Discovery, FallbackTable, Graph, PolicyTable, Pool, Runtime
from ncs_cluster.config.values import Api, Apis, Background, Lines, Networks, Picture, Rate, Size, Threshold
from ncs_cluster.policies import POLICIES
from ncs_cluster.sources import SOURCES

SEEN, SOUGHT, STICKS, PICTURES, RESULTS, PAGE, PROGRAMS, DAEMON = (
    "what is seen",
    "what is looked for",
    "sticks and how they take turns",
    "pictures",
    "results",
    "web page",
    "other programs",
    "daemon",
)
GROUPS = (SEEN, SOUGHT, STICKS, PICTURES, RESULTS, PAGE, PROGRAMS, DAEMON)


_RUNTIME = (str, key("default", "The interpreter its workers run under: a [runtimes.NAME]."))
_TIME_SCALE = (
    float,
    key(
        1.0,
        "Heat, telemetry, ageing, dwell and interval all run this many times faster; temperatures come 20 times a second at most.",
        gt=0,
        le=40,
    ),
)


def backend_table(plugin: BackendPlugin) -> type[Table]:
    """The table of a backend's Options, and the keys beside them."""
    beside = {"time_scale": _TIME_SCALE} if plugin.simulated else {}
    return options_table(plugin.options, **beside, runtime=_RUNTIME)


BACKEND_TABLES = {name: backend_table(plugin) for name, plugin in BACKENDS.builtin.items()}


class Keys(Table):
    """Keys that are flags too."""

    source: Lines = key(
        [],
        f"A frame source (repeatable): [NAME=] {', '.join(plugin.form for plugin in SOURCES.builtin.values() if plugin.form)}. "
        "Without any: synthetic.",
        SEEN,
        "SPEC",
    )
    size: Optional[Size] = key(None, "Picture size asked of the source.", SEEN, "WxH")
    fps: Optional[Rate] = key(None, "Frames per second asked of the source.", SEEN, "N")
    every_frame: bool = key(
        False, "Every frame of a file or recording counts, each once and in order; the sticks set the pace.", SEEN
    )
    loop: bool = key(False, "Play files for ever; else the daemon ends with the last one.", SEEN)

    graph: Lines = key(
        [],
        "A graph to run on every frame (repeatable): a shipped or pulled one, a [graphs.NAME], or a folder; none: no graph, "
        "simulated sticks only. Without any: demo.",
        SOUGHT,
        "NAME|DIR",
    )
    threshold: Optional[Threshold] = key(
        None,
        "Detections below this score are left out, in results and pictures. Without it: as graph.toml says, else 0.6.",
        SOUGHT,
        "0..1",
    )

    backend: named(BACKENDS, "auto") = key(  # type: ignore[valid-type]
        "auto",
        "What drives the sticks. xlink: neural compute sticks, without the vendor's software. myriad: the same sticks by the "
        "vendor's plugin, in an interpreter that has it. auto: sticks that are plugged in, by myriad where its runtime is set, "
        "else by xlink where the firmware is installed; else this CPU. simulated only when asked.",
        STICKS,
        choices=["auto", *BACKENDS.builtin],
    )
    sticks: Optional[int] = key(
        None, "How many simulated sticks (4) or CPU workers (1). Real sticks are found, not counted.", STICKS, "N", ge=1, le=256
    )
    cluster_size: int = key(
        0, "So many sticks work while the others cool, at most half of them; 0: all work.", STICKS, "K", ge=0, le=256
    )
    switch_interval: float = key(
        10.0, "Seconds until the next cluster takes over; 0: only heat switches.", STICKS, "S", ge=0, le=1e6
    )
    switch_temp: float = key(65.0, "Degrees Celsius at which a stick is taken off work.", STICKS, "C", ge=1, le=120)
    policy: Optional[PolicyTable] = key(
        None,
        "Which sticks work now. Without it: ring when there is a cluster size, else predictive. Its options stand in the table "
        "[policy], beside its name.",
        STICKS,
        choices=[*POLICIES.builtin],
    )

    fallback: Optional[FallbackTable] = key(
        None,
        "What works while no stick can: none is there, all are too hot, boot or have failed. openvino: this CPU. The daemon is "
        "degraded then, and the first stick that works takes over again. Its options stand in the table [fallback].",
        STICKS,
        "BACKEND",
        shown="text BACKEND, or the table",
    )

    picture: Picture = key(
        "live",
        "live: every frame at once with the newest boxes, which are left out when they are older than 1 s. exact: each frame with "
        "its own results; pictures, folders and --every-frame are always drawn so.",
        PICTURES,
    )
    background: Background = key("keep", "remove: what is behind the found objects is blanked out (cameras with depth).", PICTURES)
    window: bool = key(False, "Show the pictures in windows too (q quits).", PICTURES)

    results: Lines = key(
        [],
        "Write results (repeatable): as JSON Lines, appended to FILE, or - for standard output; NAME:... for a sink of that name.",
        RESULTS,
        "FILE|-",
    )
    mqtt: Optional[Mqtt] = key(
        None,
        "Tell an MQTT broker of sticks and cameras, for Home Assistant. Port 1883, or 8883 with TLS. User, password and all else "
        "stand in the table [mqtt].",
        RESULTS,
        "HOST[:PORT]",
        shown="text HOST[:PORT], or the table",
    )
    nats: Optional[Nats] = key(
        None,
        "Tell a NATS server of this machine, for `ncsctl fleet status` on any machine. Port 4222; with tls:// encrypted. User, "
        "password and all else stand in the table [nats].",
        RESULTS,
        "nats://HOST[:PORT]",
        shown="text nats://HOST[:PORT], or the table",
    )

    overflow: Optional[OverflowTable] = key(
        None,
        "Share frames of live cameras with other hosts at the server of --nats that run the same graph. send: frames that the "
        "sticks of this host cannot take go to neighbours. receive: take those of neighbours, while there is headroom. Bounds "
        "stand in the table [overflow].",
        STICKS,
        "send|receive|both",
        shown="text send|receive|both, or the table",
    )

    listen: str = key("127.0.0.1:8080", "Where the page answers. Other than localhost wants a --token-file.", PAGE, "HOST:PORT")
    token_file: Optional[str] = key(
        None,
        "A file holding the page's token (16 characters or more, not world-readable); read again when it changes.",
        PAGE,
        "FILE",
    )
    viewer_token_file: Optional[str] = key(
        None, "The same for a token that opens the pictures of cameras alone, also as ?token= and as a password.", PAGE, "FILE"
    )
    allowed_host: Lines = key([], "A host name the page may be called by, besides its address (repeatable).", PAGE, "NAME")
    api: Apis = key(
        [],
        "Answer clients of other inference servers (repeatable). deepstack: DeepStack and CodeProject.AI, as Blue Iris, Agent DVR, "
        "Frigate and Viseron ask them. oip: Open Inference Protocol v2, as of Triton and KServe. Without a source there is "
        "no camera then.",
        PAGE,
        "|".join(get_args(Api)),
    )
    api_listen: Optional[str] = key(
        None,
        "Where APIs answer too, without the page: 127.0.0.1:32168 is what Blue Iris asks. Other than localhost wants a "
        "--token-file or an --api-client.",
        PAGE,
        "HOST:PORT",
    )
    api_grpc: Optional[str] = key(
        None,
        "Where the Open Inference Protocol v2 answers over gRPC: 127.0.0.1:8001 is Triton's port. Other than localhost wants a "
        "--token-file or an --api-client. Without a source there is no camera then.",
        PAGE,
        "HOST:PORT",
    )
    api_client: Networks = key(
        [],
        "A machine or network that needs no token at --api-listen and --api-grpc (repeatable): 192.168.1.20, 192.168.1.0/24.",
        PAGE,
        "ADDRESS",
    )
    api_weight: float = key(
        1.0,
        "The share of the sticks for pictures of --api and --api-grpc, beside the weights of the cameras.",
        PAGE,
        "N",
        gt=0,
        le=1000,
    )
    no_web: bool = key(False, "No page.", PAGE)

    frigate: Optional[FrigateTable] = key(
        None,
        "Serve Frigate's zmq detector at tcp://HOST:PORT or ipc://PATH; its options stand in the table [frigate]. Without a source "
        "there is no camera then.",
        PROGRAMS,
        "ENDPOINT",
    )

    runtime_dir: Optional[str] = key(
        None,
        "Folder of the control socket. Without it: $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/ncs-cluster, else a private folder.",
        DAEMON,
        "DIR",
    )
    state_dir: Optional[str] = key(
        None,
        "Folder for what is kept. Without it: $STATE_DIRECTORY, else ncs-cluster in $XDG_STATE_HOME or ~/.local/state.",
        DAEMON,
        "DIR",
    )
    history_days: int = key(
        30,
        "Days for which temperatures, rates and events are kept in STATE_DIR/history.db; 0: not at all.",
        DAEMON,
        "DAYS",
        ge=0,
        le=3650,
    )
    log_level: Literal["debug", "info", "warning", "error"] = key("info", "How much is said on standard error.", DAEMON)


if TYPE_CHECKING:

    class Root(Keys):
        """Keys and tables."""

        cameras: dict[str, Camera]
        graphs: dict[str, Graph]
        pools: dict[str, Pool]
        runtimes: dict[str, Runtime]
        sinks: dict[str, dict[str, Any]]
        discovery: Discovery
        fan: Fan
        ambient: Ambient
        notify: Notify
        # and one table per backend, under the backend's name

else:
    Root = create_model(
        "Root",
        __base__=Keys,
        cameras=(dict[str, Camera], key({}, "One table per camera.")),
        graphs=(dict[str, Graph], key({}, "One table per graph.")),
        pools=(dict[str, Pool], key({}, "One table per pool.")),
        runtimes=(dict[str, Runtime], key({}, "One table per interpreter.")),
        sinks=(dict[str, dict[str, Any]], key({}, "One table per kind of sink.")),
        discovery=(Discovery, Field(default_factory=Discovery)),
        fan=(Fan, Field(default_factory=Fan)),
        ambient=(Ambient, Field(default_factory=Ambient)),
        notify=(Notify, Field(default_factory=Notify)),
        **{name: (table, Field(default_factory=table)) for name, table in BACKEND_TABLES.items()},
    )


def tables(root: Keys) -> list[str]:
    """Names of the backends that have a table."""
    return [name for name in type(root).model_fields if name in BACKEND_TABLES or name not in Root.model_fields]


def root_for(tree: Mapping[str, Any]) -> type[Root]:
    """Root, with a table for each backend of another package that the tree names. Raises ConfigError for a broken package."""
    pools = tree.get("pools")
    tables = [tree, *pools.values()] if isinstance(pools, dict) else [tree]
    backends = {str(table.get("backend")) for table in tables if isinstance(table, dict)}
    spoken = {name for name in tree if name not in Root.model_fields} | backends
    foreign = sorted(spoken - {"auto", "None", *BACKENDS.builtin})
    more = {name: backend_table(BACKENDS.get(name)) for name in foreign if name in BACKENDS}
    if not more:
        return Root
    fields: Any = {name: (table, Field(default_factory=table)) for name, table in more.items()}
    return create_model("Root", __base__=Root, **fields)
