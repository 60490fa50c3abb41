"""The Frigate process: serves Frigate's `zmq` detector, and keeps its address while the supervisor restarts.

protocol   what Frigate's detector sends and expects, as bytes
labels     ids of Frigate's labelmap by the names of classes
choice     which graph answers which client
admission  how many frames are with the sticks at once
turns      whose frame is next
clients    figures of each client
notes      what is told of clients in the log, and how often
server     the ZeroMQ socket, and an answer in time for each frame
"""
