"""What is measured, one file per area of the product. `AREAS` is the order in which they run.

What MLflow has too is asked twice: by our own REST, and by our MLflow door in the peer's own words (`CASE=mlflow`).
"""

from benchmarks.cases import files, histories, importing, lineage, metadata, models, reports, searches, starting, writes

AREAS = (
    writes.AREA,
    searches.AREA,
    histories.AREA,
    models.AREA,
    models.LISTS,
    lineage.AREA,
    files.AREA,
    reports.AREA,
    writes.AREA.through_mlflow(writes.AGAIN_NAME),
    searches.AREA.through_mlflow(),
    histories.AREA.through_mlflow(),
    models.AREA.through_mlflow(),
    models.LISTS.through_mlflow(),
    files.AREA.through_mlflow("1 GB up", "1 GB down"),
    starting.AREA,
    metadata.AREA,
    importing.AREA,
)
