"""The library: a program's own cluster, `from ncs_cluster import Cluster`. docs/library.md.

A Cluster starts a supervisor as a child process, the *host*, which ends when the program does, however that ends. Images go to it
through the source plugin `feed`, results come back through the sink plugin `feed`; the core knows nothing of either.

    program:  Cluster --> Feed --ring, announcements--> camera process (sources/feed.py)
                 ^                                         |
                 +------ Exchange <---records--- sink process (sinks/feed.py) <-- sticks

This file imports nothing, so that the host and the process that reads the settings start without numpy and asyncio.
"""
