"""Images and results between a program and the plugins of its own cluster: a socket, messages, a ring of image slots.

A program that uses `ncs_cluster.api` listens in the runtime directory of its cluster. The source `feed` takes the program's
images, the source `relay` tells of another source's opening and end, the sink `feed` brings results back. Runs on CPython 3.9.
"""
