"""Importing a database of ML Metadata: reading its tables (`source`), writing ours (`writing`, `runs`), and comparing."""
