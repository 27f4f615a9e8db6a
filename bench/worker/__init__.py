"""The process that measures one trial: it imports exactly one framework and tells what happens.

Needs NumPy, msgspec and its framework only, since it also runs in environments made for one
framework and on older Pythons.
"""
