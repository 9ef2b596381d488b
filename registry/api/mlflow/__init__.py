"""The MLflow door: the REST calls of the unmodified `mlflow` client over the shared records. docs/doors/mlflow.md lists them."""
