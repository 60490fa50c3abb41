"""The tables of what is around the sticks: Frigate, an MQTT broker, a NATS server, neighbours, a fan, a sensor of the air,
notifications."""

from __future__ import annotations

from typing import Literal, Optional

from ncs_cluster.config.table import Table, key
from ncs_cluster.config.values import Lines


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
    weight: float = key(1.0, "Its share of the sticks, beside the weights of the cameras.", gt=0, le=1000)
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


class Notify(Table):
    """`[notify]`: the command and the webhook that are called when the daemon's state changes."""

    command: list[str] = key([], "A program and its arguments, run without a shell: the text is on its standard input.")
    webhook: Optional[str] = key(None, "An address that gets JSON by POST.", min_length=1)
    webhook_file: Optional[str] = key(
        None,
        "A file that holds that address alone, not world-readable, where it holds a secret; of a unit's credential: "
        "Environment=NCS_CLUSTER_NOTIFY__WEBHOOK_FILE=%d/NAME.",
    )
    hold_off_s: float = key(60.0, "Seconds for which a new state must last before it is sent.", ge=0, le=86400)
    timeout_s: float = key(10.0, "Seconds that the command or the webhook may take.", ge=1, le=60)


class Nats(Table):
    """`[nats]`: the NATS server at which the daemons of several machines find each other."""

    url: Optional[str] = key(None, "Its address: as --nats. With tls:// its certificate is checked.", min_length=1)
    node: Optional[str] = key(None, "Tells daemons at one server apart. Without it: this machine's name.")
    user: Optional[str] = key(None, "The name to log in with.", min_length=1)
    password_file: Optional[str] = key(
        None,
        "A file that holds the password alone, not world-readable; of a unit's credential: "
        "Environment=NCS_CLUSTER_NATS__PASSWORD_FILE=%d/NAME.",
    )
    nkey_file: Optional[str] = key(None, "Instead of user and password: a file with the seed of an nkey, not world-readable.")
    credentials_file: Optional[str] = key(None, "Instead of them: a credentials file as `nsc` writes it, not world-readable.")
    ca_file: Optional[str] = key(None, "The authority that has signed the server's certificate; without it, those of the system.")
    page: Optional[str] = key(
        None, "Address of the page, for the others' link to it. Without it: as --listen says.", pattern=r"^https?://\S+$"
    )
    jobs: bool = key(False, "Take chunks of jobs that `ncsctl run --nats` offers there.")
    job_weight: float = key(0.1, "The share of the sticks of each chunk, beside the weights of the cameras.", gt=0, le=100)
    graphs: bool = key(
        False,
        "Fetch the graph of such a job from the server where this host lacks it, and run it for the job. "
        "Who may write to the server chooses it.",
    )
    mounts: dict[str, str] = key(
        {}, "Folders with the files of such jobs, by the names that `ncsctl run --mount` gives them. Nothing outside is read."
    )


class OverflowTable(Table):
    """`[overflow]`: frames of live cameras that go to other hosts of the fleet, and those that come from them."""

    role: Optional[Literal["send", "receive", "both"]] = key(None, "As --overflow.")
    link_mbit: float = key(100.0, "What the link to the server carries, Mbit/s.", gt=0, le=1e6)
    link_share: float = key(0.25, "Part of it that frames may take.", gt=0, le=1)
    deadline_ms: int = key(500, "Milliseconds after which the answer of a neighbour is of no use any more.", ge=20, le=60000)
    in_flight: int = key(16, "Frames that neighbours may have at once.", ge=1, le=64)
    quality: int = key(90, "Of the JPEGs that are sent.", ge=1, le=100)
    weight: float = key(
        1.0, "The share of the sticks that frames of neighbours get, beside the weights of the cameras.", gt=0, le=1000
    )


class Ambient(Table):
    """`[ambient]`: a sensor of the air around the sticks."""

    file: Optional[str] = key(
        None, 'A file of millidegrees, relative to `sysfs`: "bus/w1/devices/28-0000055f1020/temperature".', min_length=1
    )
    chip: Optional[str] = key(None, 'Or a hwmon chip, as the file `name` in its folder says: "sht3x".', min_length=1)
    channel: int = key(1, "N of the chip's file tempN_input.", ge=1, le=99)
    sysfs: str = key("/sys", "Where the kernel shows its devices; no file outside is read.")
