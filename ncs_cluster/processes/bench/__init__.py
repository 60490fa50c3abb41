"""What `ncsctl bench` measures: programs that work through pictures, each as a user would write it.

`plain` drives devices through the backend interface, a thread for each; with one device it is the serial program. The program that
uses `ncs_cluster.Cluster` is `ncs_cluster.api.bench`. Both share `loop`. Runs on CPython 3.9.
"""
