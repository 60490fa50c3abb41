"""Several machines at one NATS server: what a daemon tells of itself, the bucket that holds it, and the connection to the server.

Runs on CPython 3.9. nats-py is imported where a connection is made, and nowhere else.
"""
