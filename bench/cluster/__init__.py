"""Run trials on the nodes of a cluster: the nodes share the plan, each as on a single machine.

Only `ray_nodes` and `ray_group` import Ray.
"""
