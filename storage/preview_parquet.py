"""A page of a Parquet file.

Runs in the preview's own process, see `preview_process.py`; gives the fields of `previews.Preview` as JSON values.
"""

import io
from collections.abc import Iterator
from typing import Any

from storage.preview_cells import Page, Window, fitting, plain

_COUNTED_CHUNKS_MAX = 200_000
"""Column chunks whose statistics are added up; a file of more is a strange one, and its null counts stay unknown."""


def parquet_page(file: io.RawIOBase, window: Window) -> Page:
    """Reads the footer and, of the row groups that hold the page, the pages of the shown columns up to its last row."""
    import pyarrow as pa
    from pyarrow import parquet

    pa.set_cpu_count(1)
    source = parquet.ParquetFile(pa.PythonFile(file, mode="r"), buffer_size=256 * 1024, pre_buffer=False)
    schema, total = source.schema_arrow, source.metadata.num_rows
    names = schema.names[: window.columns_max]
    groups, skip = _groups(source.metadata, window.offset)
    nulls = _parquet_nulls(source.metadata)
    rows: list[list[Any]] = []
    if groups and names:
        chosen = None if len(names) == len(schema.names) else names
        batches = source.iter_batches(batch_size=max(window.limit, 1024), row_groups=groups, columns=chosen, use_threads=False)
        rows = _rows(batches, skip, window)
    return {
        "format": "parquet",
        "columns": [
            {"name": name, "type": str(schema.field(at).type)[:200], "null_count": nulls.get(name)}
            for at, name in enumerate(names)
        ],
        "total_columns": len(schema.names),
        "total_rows": total,
        "offset": window.offset,
        **fitting(rows),
    }


def _groups(metadata: Any, offset: int) -> tuple[list[int], int]:
    """The row groups from the one that holds row `offset` on, and how many rows of it to skip."""
    before = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if offset < before + rows:
            return list(range(group, metadata.num_row_groups)), offset - before
        before += rows
    return [], 0


def _parquet_nulls(metadata: Any) -> dict[str, int]:
    """By the statistics in the footer; a column that lacks them in one row group is left out, as are nested ones."""
    if metadata.num_row_groups * metadata.num_columns > _COUNTED_CHUNKS_MAX:
        return {}
    counts: dict[str, int] = {}
    for at in range(metadata.num_columns):
        total = 0
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(at)
            statistics = chunk.statistics
            if statistics is None or not statistics.has_null_count:
                break
            total += statistics.null_count
        else:
            counts[metadata.schema.column(at).path] = total
    return counts


def _rows(batches: Iterator[Any], skip: int, window: Window) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for batch in batches:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        part = batch.slice(skip, window.limit - len(rows))
        skip = 0
        columns = [[plain(cell.as_py(), window.cell_max) for cell in column] for column in part.columns[: window.columns_max]]
        rows += [list(row) for row in zip(*columns, strict=True)]
        if len(rows) >= window.limit:
            break
    return rows
