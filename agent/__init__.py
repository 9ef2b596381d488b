"""The persistence agent: reading Kubernetes objects, translating them into reports, sending the reports to the server.

Start at `main.py` (the commands), then `kinds.py` (which kind is translated by what; `workflow/` and `objects/` have them) and
`report.py` (what comes out). `fetching/` adds what an object lacks, `backfill.py` runs that the cluster has lost.
"""
