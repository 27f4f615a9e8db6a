"""Data sets: reads IDX files and decodes them into arrays in the cache.

    idx       reads one IDX file and checks it
    sources   finds the four files of a data set
    decoded   the folder of decoded arrays, written by the runner and memory-mapped by workers
    prepare   checks a data set and decodes it into the cache

A worker imports only `decoded`, so that module and `idx` also run on Python 3.9.
"""
