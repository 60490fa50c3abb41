"""How property tests search. `steady`, the default, tries the same examples on every run; `search` tries new ones:

make test ARGS="--hypothesis-profile=search tests/core"
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
