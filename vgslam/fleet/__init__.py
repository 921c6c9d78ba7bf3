"""Many recordings, each a task of its own: mapped or localized on this machine or a Ray cluster, and their maps merged.

A task is a pure function of its recording, its settings and the program: its results lie under a key made of these.
"""
