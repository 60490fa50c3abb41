"""Every key: its type, range, default and description. Flags, environment, file and docs are all made from here.

A key of `Root` is a flag (`cluster_size` is --cluster-size), an environment variable (NCS_CLUSTER_CLUSTER_SIZE) and a key of the
file; tables are reached with --set. What a backend or a source understands is read from its own `Options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional, get_args

from pydantic import ConfigDict, Field, create_model

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config.table import Table, key, named, options_table
from ncs_cluster.config.values import (
    Api,
    Apis,
    Background,
    Lines,
    Names,
    Networks,
    Picture,
    Places,
    Rate,
    Size,
    Threshold,
    Variables,
)
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


class PolicyTable(Table):
    """`[policy]`: its name, and options that its plugin validates."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Optional[str] = key(None, "Which sticks work now: as --policy.")


class Camera(Table):
    """`[cameras.NAME]`: one frame source and what becomes of its frames. What is left out is as the flag of the same name says."""

    source: Optional[str] = key(None, "Where frames come from: as --source, without NAME=.")
    weight: float = key(1.0, "Its share of the sticks, beside the other cameras' weights.", gt=0, le=1000)
    size: Optional[Size] = key(None, "As --size, for this camera.")
    fps: Optional[Rate] = key(None, "As --fps, for this camera.")
    every_frame: Optional[bool] = key(None, "As --every-frame, for this camera.")
    loop: Optional[bool] = key(None, "As --loop, for this camera.")
    picture: Optional[Picture] = key(None, "As --picture, for this camera.")
    background: Optional[Background] = key(None, "As --background, for this camera.")
    window: Optional[bool] = key(None, "As --window, for this camera.")
    runtime: str = key("default", "The interpreter its process runs under: a [runtimes.NAME].")
    options: dict[str, Any] = key({}, "What only its kind of source understands: see Sources.")


class Pool(Table):
    """`[pools.NAME]`: sticks of one kind. What is left out is as the flag of the same name says."""

    backend: Optional[named(BACKENDS, "auto")] = key(  # type: ignore[valid-type]
        None, "As --backend, for this pool.", choices=["auto", *BACKENDS.builtin]
    )
    sticks: Optional[int] = key(None, "As --sticks, for this pool.", ge=1, le=256)
    cluster_size: Optional[int] = key(None, "As --cluster-size, for this pool.", ge=0, le=256)
    switch_interval: Optional[float] = key(None, "As --switch-interval, for this pool.", ge=0, le=1e6)
    switch_temp: Optional[float] = key(None, "As --switch-temp, for this pool.", ge=1, le=120)
    policy: Optional[PolicyTable] = key(None, "As --policy or [policy], for this pool.", choices=[*POLICIES.builtin])
    runtime: Optional[str] = key(None, "The interpreter its workers run under: a [runtimes.NAME].")
    options: dict[str, Any] = key({}, "Options of its backend; those left out are as the backend's table says.")


class Graph(Table):
    """`[graphs.NAME]`: a graph folder under a name of your own."""

    path: Optional[str] = key(None, "The folder; without it, the shipped or pulled graph of this name.")
    threshold: Optional[Threshold] = key(None, "As --threshold, for this graph.")


class Runtime(Table):
    """`[runtimes.NAME]`: another interpreter, for children whose library needs one (Python 3.9 or newer)."""

    python: str = key(..., "Path of the interpreter.")
    env: Variables = key({}, "Added to the environment of its processes.")


class Discovery(Table):
    """`[discovery]`: how real sticks are found."""

    sysfs: str = key("/sys", "Where the kernel lists USB devices.")
    stagger_s: float = key(
        0.3, "Seconds from one stick's boot to the next one's: each draws its most current then. 0: all at once.", ge=0, le=60
    )
    exclude: Places = key(
        [],
        'USB ports whose devices are left alone, such as OAK cameras, which have the ids of a stick: "1-1.3" (bus 1), or "1.3" on '
        "any bus. A device that another program boots may come back at another port: name both.",
    )
    names: Names = key({}, 'Names of USB ports, for status, page and log: "1.2.3" = "front-left".')


class FrigateTable(Table):
    """`[frigate]`: Frigate's `zmq` detector."""

    endpoint: Optional[str] = key(None, "Where it is served: as --frigate.")
    graph: Optional[str] = key(
        None,
        "The graph for frames of a Frigate whose `model.path` names none. Without it: one whose input has the size of its frames.",
    )
    deadline_ms: int = key(
        180,
        "Milliseconds after which a frame is answered with zeros. Frigate's `request_timeout_ms` must be longer.",
        ge=20,
        le=60000,
    )
    colours: Literal["rgb", "bgr"] = key("rgb", "As Frigate's `input_pixel_format`.")
    labelmap: Optional[str] = key(
        None,
        "The file that Frigate has as `labelmap_path`; classes are found in it by name. Without it: Frigate's own, COCO.",
        min_length=1,
    )
    keep_s: float = key(
        60.0,
        "Seconds for which its process goes on after the daemon has stopped, for the next one. 0: it ends with the daemon.",
        ge=0,
        le=86400,
    )
    socket: Optional[str] = key(
        None, "Where its process waits for the daemon. Without it: frigate.sock in the runtime directory.", min_length=1
    )


class Fan(Table):
    """`[fan]`: a fan that follows the smallest headroom of the sticks."""

    chip: Optional[str] = key(
        None, 'Its hwmon chip, as the file `name` in its folder says: "pwmfan", "gpio_fan". Without it: no fan.', min_length=1
    )
    channel: int = key(1, "N of its file pwmN.", ge=1, le=99)
    sysfs: str = key("/sys", "Where the kernel shows its devices; no file outside is touched.")
    off_above: float = key(20.0, "Off while every stick is more than so many K under its limit.", ge=0, le=100)
    full_below: float = key(8.0, "At full speed where a stick is less than so many K under its limit.", ge=0, le=100)
    hysteresis: float = key(2.0, "Slower only when the headroom is so many K larger than the present speed asks for.", ge=0, le=50)
    least_run_s: float = key(60.0, "Once it turns, it turns for so many seconds.", ge=0, le=3600)
    least_duty: float = key(0.3, "The slowest speed at which it surely turns, as a part of the full one.", ge=0.05, le=1)


class Mqtt(Table):
    """`[mqtt]`: the broker to which the states of sticks and cameras are published."""

    broker: Optional[str] = key(None, "Its address: as --mqtt.", min_length=1)
    user: Optional[str] = key(None, "The name to log in with.", min_length=1)
    password_file: Optional[str] = key(
        None,
        "A file that holds the password alone, not world-readable; of a unit's credential: "
        "Environment=NCS_CLUSTER_MQTT__PASSWORD_FILE=%d/NAME.",
    )
    tls: bool = key(False, "Encrypted; the broker's certificate is checked.")
    ca_file: Optional[str] = key(None, "The authority that has signed the broker's certificate; without it, those of the system.")
    prefix: str = key("ncs_cluster", "Topics of values begin with this and the node.")
    discovery_prefix: str = key("homeassistant", "Where Home Assistant looks for devices.")
    node: Optional[str] = key(None, "Tells daemons at one broker apart. Without it: this machine's name.")
    page: Optional[str] = key(
        None, "Address of the page, for Home Assistant's link to it. Without it: as --listen says.", pattern=r"^https?://\S+$"
    )
    commands: bool = key(False, "Whoever may publish at the broker may switch clusters: Home Assistant has a button for it.")
    image: bool = key(False, "Publish pictures of cameras that see something; needs the page.")
    image_interval_s: float = key(10.0, "Least time between two pictures of a camera.", ge=1, le=86400)
    interval_s: float = key(1.0, "Least time between two values of a number, such as a temperature.", ge=1, le=60)
    hold_s: float = key(10.0, "An object counts as there for so long after it was last seen.", ge=0, le=86400)
    labels: Lines = key([], "Labels that become entities, for each camera. Without any: those of its graphs, the first 24.")


class Ambient(Table):
    """`[ambient]`: a sensor of the air around the sticks."""

    file: Optional[str] = key(
        None, 'A file of millidegrees, relative to `sysfs`: "bus/w1/devices/28-0000055f1020/temperature".', min_length=1
    )
    chip: Optional[str] = key(None, 'Or a hwmon chip, as the file `name` in its folder says: "sht3x".', min_length=1)
    channel: int = key(1, "N of the chip's file tempN_input.", ge=1, le=99)
    sysfs: str = key("/sys", "Where the kernel shows its devices; no file outside is read.")


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
    api_client: Networks = key(
        [], "A machine or network that needs no token at --api-listen (repeatable): 192.168.1.20, 192.168.1.0/24.", PAGE, "ADDRESS"
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
