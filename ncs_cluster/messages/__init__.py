"""The messages between processes: one closed union per channel and direction. msgpack by msgspec; never pickle.

A message is positional (`array_like`) with its class name as tag, so both ends must run the same version: Hello carries PROTOCOL.
Times named `_s` are time.monotonic() of this machine, comparable between its processes. Values that harm another process
when they are out of range have bounds here: such a message does not decode, and the supervisor kills its sender. Runs on CPython
3.9.

    supervisor <-> worker    ToWorker  / FromWorker
    supervisor <-> camera    ToCamera  / FromCamera
    supervisor <-> sink      ToSink    / FromSink
    supervisor <-> gateway   ToGateway / FromGateway
    supervisor <-> intake    ToIntakeProcess / FromIntakeProcess
    supervisor <-> fork server  ToForkServer / FromForkServer
    client     <-> supervisor  Request / Reply           (the control socket: control_messages.py)
    ncsctl bench <-> measured program  ToBench / FromBench  (messages/bench.py)
    ncsctl calibrate <-> its stick     ToHeated / FromHeated  (messages/calibration.py)
"""

from __future__ import annotations

from ncs_cluster.control_messages import AskEvents, AskFault, AskStatus, AskSwitch, AskUrl, Reply, Request
from ncs_cluster.messages.camera import (
    CameraRates,
    DetectionRate,
    Drawn,
    FrameCaptured,
    FromCamera,
    Grant,
    Measure,
    Measured,
    OpenSource,
    QuitRequested,
    Skipped,
    SourceEnded,
    SourceLost,
    SourceOpened,
    SourceProgress,
    ToCamera,
)
from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Message, Phase, Stop, Warned, WorkTold
from ncs_cluster.messages.fork_server import Fork, Forked, ForkFailed, FromForkServer, ToForkServer
from ncs_cluster.messages.gateway import (
    CameraGone,
    FromGateway,
    GatewayOpened,
    OpenGateway,
    PictureReady,
    ToGateway,
    TokenReplaced,
    Watch,
)
from ncs_cluster.messages.intake import (
    Answered,
    Ask,
    ClientsSeen,
    FromIntake,
    FromIntakeProcess,
    IntakeReady,
    InUse,
    OpenIntake,
    Served,
    ServedGraph,
    ServeIntake,
    ToIntake,
    ToIntakeProcess,
    Withdraw,
)
from ncs_cluster.messages.memory import MapPictures, MapPool, UnmapPool
from ncs_cluster.messages.sink import (
    NO_READER,
    Acked,
    FinishSink,
    FromSink,
    OpenSink,
    SinkBlocked,
    SinkFinished,
    SinkOpened,
    ToSink,
    Write,
)
from ncs_cluster.messages.worker import (
    ChangeGraphs,
    FromWorker,
    Infer,
    Inferred,
    InjectFault,
    OpenStick,
    Overflowed,
    Reopen,
    ResetStick,
    StickLost,
    StickOpened,
    Telemetry,
    ToWorker,
)

PROTOCOL = 6

__all__ = [
    "NO_READER",
    "PROTOCOL",
    "Acked",
    "Answered",
    "Ask",
    "AskEvents",
    "AskFault",
    "AskStatus",
    "AskSwitch",
    "AskUrl",
    "CameraGone",
    "CameraRates",
    "ChangeGraphs",
    "ClientsSeen",
    "DetectionRate",
    "Drawn",
    "Failed",
    "FinishSink",
    "Fork",
    "ForkFailed",
    "Forked",
    "FrameCaptured",
    "FromCamera",
    "FromForkServer",
    "FromGateway",
    "FromIntake",
    "FromIntakeProcess",
    "FromSink",
    "FromWorker",
    "GatewayOpened",
    "Grant",
    "Heartbeat",
    "Hello",
    "InUse",
    "Infer",
    "Inferred",
    "InjectFault",
    "IntakeReady",
    "MapPictures",
    "MapPool",
    "Measure",
    "Measured",
    "Message",
    "OpenGateway",
    "OpenIntake",
    "OpenSink",
    "OpenSource",
    "OpenStick",
    "Overflowed",
    "Phase",
    "PictureReady",
    "QuitRequested",
    "Reopen",
    "Reply",
    "Request",
    "ResetStick",
    "ServeIntake",
    "Served",
    "ServedGraph",
    "SinkBlocked",
    "SinkFinished",
    "SinkOpened",
    "Skipped",
    "SourceEnded",
    "SourceLost",
    "SourceOpened",
    "SourceProgress",
    "StickLost",
    "StickOpened",
    "Stop",
    "Telemetry",
    "ToCamera",
    "ToForkServer",
    "ToGateway",
    "ToIntake",
    "ToIntakeProcess",
    "ToSink",
    "ToWorker",
    "TokenReplaced",
    "UnmapPool",
    "Warned",
    "Watch",
    "Withdraw",
    "WorkTold",
    "Write",
]
