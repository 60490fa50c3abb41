"""How property tests search. `steady`, the default, tries the same examples on every run; `search` tries new ones:

make test ARGS="--hypothesis-profile=search tests/core"

`brief` tries a third of them, in `make test`; `make test-thorough` tries all. `few` tries a tenth, on an emulated processor, where
they show only that the processor makes no difference.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("brief", settings.get_profile("steady"), max_examples=34)
settings.register_profile("few", settings.get_profile("steady"), max_examples=10)
settings.load_profile("steady")


def examples(count: int) -> int:
    """For a test that tries more or fewer than the 100 of `steady`: a third of `count` under `brief`, a tenth under `few`."""
    return max(1, count * settings().max_examples // 100)
