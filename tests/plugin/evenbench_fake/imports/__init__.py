"""Frameworks that are installed but cannot be imported."""
