"""The persistence agent: reading Kubernetes objects, translating them into reports, sending the reports to the server.

Start at `main.py` (the commands), then `kinds.py` (which kind is translated by what) and `report.py` (what comes out).
"""
