"""The data of a run: IDX files in, decoded arrays in the user's cache out.

    idx       one IDX file, read with care
    sources   where the four files of a data set are, and what they are known by
    checks    whether four files make one data set
    decoded   the folder of decoded arrays: written by the runner, memory-mapped by workers
    prepare   the cache that holds such folders

A worker imports `decoded` alone, so that module and `idx` also run on Python 3.9.
"""
