"""Faults: real servers are killed, cut off, filled up and set back under load, and nothing acknowledged is lost or doubled.

`python -m tests.faults` (`make faults`) runs them as often as asked; `test_faults.py` runs each once. `databases.py` and
`ours.py` start what is harmed, `load.py` writes and remembers what was acknowledged, `cases.py` does the harm.
"""
