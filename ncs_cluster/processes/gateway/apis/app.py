"""Which APIs are served, and the routes of each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from starlette.routing import BaseRoute

from ncs_cluster.processes.gateway.apis.bodies import Bodies
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.processes.intake import Intake

THREADS = 2
"""Pictures and tensors that are decoded at once."""


def routes(apis: Iterable[str], intake: Intake, authenticator: Authenticator) -> list[BaseRoute]:
    """The routes of the APIs that are named, which share their bounds on memory and processors."""
    bodies, threads = Bodies(), ThreadPoolExecutor(THREADS, "api")
    found: list[BaseRoute] = []
    if "deepstack" in apis:
        from ncs_cluster.processes.gateway.apis.deepstack import DeepStack

        found += DeepStack(intake, bodies, threads, authenticator.check_key).routes()
    if "oip" in apis:
        from ncs_cluster.processes.gateway.apis.oip import OpenInference

        found += OpenInference(intake, bodies, threads).routes()
    return found
