"""Environments of their own for backends that ask for another version than is installed here.

A backend with a version (`torch==2.12.*`), or one whose requirements shut out the others', gets a
virtual environment made from its recipe, kept in the user's cache under the digest of what it is
made from, and shared by later runs.
"""
