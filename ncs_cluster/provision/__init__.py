"""What a machine needs before it can drive sticks, and what is not ours to ship: firmware, models, compiled graphs.

Everything fetched is pinned by size and SHA-256 and judged before it is used. Nothing here is imported by the running daemon's
processes; `blobs` and `places` are asked once by config.
"""
