"""Many recordings, each a task of its own: mapped or localized on this machine or a Ray cluster, and their maps merged.

A task is a pure function of what its recording holds, its settings and the program: its results lie under a key made of
these, appear complete or not at all, and are never made twice.
"""
