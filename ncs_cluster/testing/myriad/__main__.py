"""`python -m ncs_cluster.testing.myriad --socket PATH`: the emulated bus, until its standard input or the process ends."""

from __future__ import annotations

from ncs_cluster.testing.myriad.server import main

if __name__ == "__main__":
    main()
