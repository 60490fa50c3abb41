"""Which APIs are served, and the routes of each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from starlette.routing import BaseRoute

from ncs_cluster.processes.gateway.apis.bodies import Bodies
from ncs_cluster.processes.gateway.apis.clients import Clients
from ncs_cluster.processes.gateway.apis.inference import Models
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.processes.intake import Intake

THREADS = 2
"""Pictures and tensors that are decoded at once."""


class Shared:
    """What all APIs of a gateway share: their bounds on memory and processors, the models with their statistics, and the
    clients."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.bodies, self.threads = Bodies(), ThreadPoolExecutor(THREADS, "api")
        self.models = Models(intake, self.threads)
        self.clients = Clients()


def routes(apis: Iterable[str], shared: Shared, authenticator: Authenticator) -> list[BaseRoute]:
    """The routes of the APIs that are named."""
    found: list[BaseRoute] = []
    if "deepstack" in apis:
        from ncs_cluster.processes.gateway.apis.deepstack import DeepStack

        found += DeepStack(shared.intake, shared.bodies, shared.threads, authenticator.check_key, shared.clients).routes()
    if "oip" in apis:
        from ncs_cluster.processes.gateway.apis.oip import OpenInference

        found += OpenInference(shared.models, shared.bodies, shared.clients).routes()
    return found
