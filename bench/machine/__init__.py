"""This computer: its hardware, CPUs, noise, other runs, and Python environments for backends."""
