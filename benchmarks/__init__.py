"""The benchmark: our server beside the peer, or beside the same work written by hand, in one run and taking turns.

`make bench` starts it; docs/performance.md says what it measures, how, and what came out.
"""
