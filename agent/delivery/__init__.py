"""From changes to the server: each is translated (outgoing.py), waits in a queue that keeps the newest of an object (waiting.py),
on disk while the server is away (state.py), and is sent by a few writers (writers.py). What the server refuses for ever is set
aside (dead_letters.py).
"""
