"""From the Kubernetes API to changes: one watch per kind and namespace (watch.py), how far it has come (progress.py), and all of
them together (watches.py). What a change says, and where it goes, is agent.delivery's.
"""
