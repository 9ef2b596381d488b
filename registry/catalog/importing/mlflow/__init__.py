"""Importing a store of MLflow: what any of its forms holds (`records`), writing it as ours, and comparing.

Reading the forms (tables, a server, a folder) is in `registry/importing/mlflow/`.
"""
