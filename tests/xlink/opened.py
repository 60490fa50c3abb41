"""A session that is open, with the model of its stick: for tests of faults."""

from __future__ import annotations

from ncs_cluster.xlink.events import Closed, Lost
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.session import Options, Session
from tests.xlink import blobs
from tests.xlink.model import Model, carry

ALONE = Options(settle_s=0.0, thermal_s=None)


def opened(options: Options = ALONE, model: Model | None = None, graphs: int = 1) -> tuple[Session, Model]:
    model = model or Model()
    session = Session([blobs.small(4 + n) for n in range(graphs)], options)
    session.start(0.0)
    carry(session, model, 0.0)
    return session, model


def the_end(session: Session) -> Lost | Closed:
    end = session.events()[-1]
    assert isinstance(end, (Lost, Closed))
    assert session.ended
    assert session.due_s is None
    assert session.out() == []
    if isinstance(end, Lost):
        assert "\n" not in end.detail
    return end


def name_id(model: Model, name: str) -> int:
    return model._ids[name]


# -- nonsense ---------------------------------------------------------------------------------------------------------


def frame(kind: FrameType, stream: int = 0, size: int = 0, name: str = "", flags: int = 1, number: int = 5000) -> bytes:
    return Header(number, kind, name, stream, size, flags).encode()
