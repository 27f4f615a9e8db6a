"""Python environments for backends whose packages are not installed next to this program.

A backend with a version (`torch==2.12.*`), or one whose requirements conflict with those of other
backends, runs in its own virtual environment. The environment is created from the backend's recipe
when it is first needed, cached under the digest of its requirements, and shared by later runs.
"""
