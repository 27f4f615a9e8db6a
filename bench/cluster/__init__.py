"""Trials on the nodes of a cluster: the plan shared among them, each node as a machine of its own.

`ray_nodes` alone imports Ray.
"""
