"""What is measured, one file per area of the product. `AREAS` is the order in which they run."""

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
    starting.AREA,
    metadata.AREA,
    importing.AREA,
)
