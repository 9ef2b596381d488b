"""The graph: nodes, edges and walks. Knows nothing of the service: whoever has edges gives an `EdgeSource`.

`graph.py` has the values, `walks.py` the answer for one picture, `paths.py` how two nodes hang together, `impact.py`
everything downstream in pages, `memory.py` a source for small graphs.
"""
