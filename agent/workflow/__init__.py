"""Argo Workflows, plain and compiled by Kubeflow Pipelines v1 or v2, translated into a run with tasks and edges.

Read `translation.py` first: it shows the steps in order. `nodes.py` and `graph.py` are one status, `drafts.py` the
tasks while they are being put together, `argo.py`, `kfp_v1.py` and `kfp_v2.py` what is particular to each compiler.
"""
