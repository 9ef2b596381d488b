"""Applying what the agent reports of Kubernetes objects: `apply_report` in applying.py.

A report is applied idempotently and never backwards; the same reports in any order give the same records. What a client wrote
stays. record.py has the report's form, ranking.py which of two is newer, running.py the run, stepping.py its tasks as steps,
step_writing.py how these are written, values.py params and series, flowing.py artifacts and events, owning.py objects that
belong to another one, vanishing.py objects that are gone, deploying.py deployments and their histories, reusing.py steps that
took a cached result.
"""
