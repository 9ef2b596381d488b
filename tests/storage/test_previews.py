"""Previews of tables: right values, few bytes read, and hostile files that end as a clear error.

Kept whole: the formats share the builders of files and the count of bytes read.
"""

import datetime as dt
import decimal
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from storage import previews
from storage.config import open_store
from storage.errors import InvalidContent, ObjectNotFound
from storage.previews import Column, format_of, preview
from storage.store import ObjectStore

MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = open_store(f"file://{tmp_path}?durable=false")
    store.prepare()
    return store


def put_parquet(store: ObjectStore, key: str, table: pa.Table, **options: Any) -> int:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **options)
    return store.put(key, [buffer.getvalue()]).size_bytes


# ---- Parquet --------------------------------------------------------------------------------------------------------


def test_a_parquet_preview_tells_schema_rows_and_nulls(store: ObjectStore) -> None:
    size_bytes = put_parquet(store, "t.parquet", pa.table({"n": [1, 2, None], "s": ["a", None, None]}))

    seen = preview(store, "t.parquet")

    assert seen.columns == [Column("n", "int64", 1), Column("s", "string", 2)]
    assert seen.rows == [[1, "a"], [2, None], [None, None]]
    assert (seen.total_rows, seen.total_columns, seen.size_bytes, seen.truncated) == (3, 2, size_bytes, False)


def test_values_without_a_word_in_json_become_strings(store: ObjectStore) -> None:
    table = pa.table(
        {
            "f": pa.array([float("nan"), float("inf"), float("-inf"), 1.5]),
            "b": pa.array([b"\x00\xff", b"", None, b"a"]),
            "d": pa.array([decimal.Decimal("1.10")] * 4),
            "t": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)] * 4),
            "l": pa.array([[1, 2], [], None, [3]]),
            "o": pa.array([{"x": 1}] * 4),
        }
    )
    put_parquet(store, "t.parquet", table)

    rows = preview(store, "t.parquet").rows

    assert [row[0] for row in rows] == ["NaN", "Infinity", "-Infinity", 1.5]
    assert [row[1] for row in rows] == ["00ff", "", None, "61"]
    assert rows[0][2:] == ["1.10", "2026-01-02T03:04:05+00:00", "[1, 2]", '{"x": 1}']
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(("offset", "limit"), [(0, 3), (8, 5), (9, 1), (10, 20), (19, 5), (20, 5), (95, 50), (100, 1)])
def test_a_page_may_span_row_groups(store: ObjectStore, offset: int, limit: int) -> None:
    put_parquet(store, "t.parquet", pa.table({"n": list(range(100))}), row_group_size=10)

    seen = preview(store, "t.parquet", offset=offset, limit=limit)

    assert [row[0] for row in seen.rows] == list(range(100))[offset : offset + limit]
    assert (seen.total_rows, seen.offset) == (100, offset)


def test_a_parquet_preview_reads_few_bytes_of_a_large_file(store: ObjectStore) -> None:
    column = pa.array(range(4_000_000))
    size_bytes = put_parquet(
        store, "t.parquet", pa.table({"a": column, "b": column}), compression="none", use_dictionary=False,
        row_group_size=500_000,
    )  # fmt: skip
    assert size_bytes > 60 * MIB

    first = preview(store, "t.parquet", limit=50)
    deep = preview(store, "t.parquet", offset=3_500_000, limit=50)

    assert [row[0] for row in first.rows] == list(range(50))
    assert [row[0] for row in deep.rows] == list(range(3_500_000, 3_500_050))
    assert first.bytes_read < 4 * MIB
    assert deep.bytes_read < 4 * MIB


@pytest.mark.slow
def test_a_preview_of_a_1_gb_parquet_file_reads_under_16_mb(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "big.parquet"
    batch = pa.table({"a": pa.array(range(1_000_000)), "b": pa.array([f"{n:056}" for n in range(1_000_000)])})
    with parquet.ParquetWriter(path, batch.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(16):
            writer.write_table(batch, row_group_size=1_000_000)
    with path.open("rb") as file:
        store.put("big.parquet", iter(lambda: file.read(MIB), b""))
    path.unlink()
    assert store.stat("big.parquet").size_bytes > 1000 * MIB

    seen = preview(store, "big.parquet", offset=15_000_000, limit=100)

    assert (seen.total_rows, seen.rows[0][0], len(seen.rows)) == (16_000_000, 0, 100)
    assert seen.bytes_read < 16 * MIB


def test_only_the_first_columns_of_a_wide_table_are_shown(store: ObjectStore) -> None:
    put_parquet(store, "t.parquet", pa.table({f"c{n}": [n] for n in range(1500)}))

    seen = preview(store, "t.parquet")

    assert (len(seen.columns), len(seen.rows[0]), seen.total_columns) == (200, 200, 1500)
    assert seen.rows[0][199] == 199


def test_columns_of_one_name_are_each_shown(store: ObjectStore) -> None:
    put_parquet(store, "t.parquet", pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))

    assert preview(store, "t.parquet").rows == [[1, 2]]


def test_long_cells_are_cut(store: ObjectStore) -> None:
    put_parquet(store, "t.parquet", pa.table({"s": ["x" * 100_000], "l": [list(range(100_000))]}))

    text, items = preview(store, "t.parquet").rows[0]

    assert (len(text), text[-1]) == (500, "…")
    assert items.startswith("[0, 1, 2,")
    assert items.endswith('99, "…"]')


def test_a_table_without_rows_has_its_columns(store: ObjectStore) -> None:
    put_parquet(store, "t.parquet", pa.table({"a": pa.array([], pa.int32())}))

    seen = preview(store, "t.parquet")

    assert (seen.columns[0].type, seen.rows, seen.total_rows) == ("int32", [], 0)


# ---- hostile Parquet ------------------------------------------------------------------------------------------------


def whole() -> bytearray:
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"a": list(range(1000)), "s": ["text"] * 1000}), buffer)
    return bytearray(buffer.getvalue())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"PAR1",
        lambda data: b"not a table at all",
        lambda data: data[:-1],
        lambda data: data[:-4] + b"XXXX",
        lambda data: data[:-8] + b"\xff\xff\xff\x7f" + b"PAR1",
        lambda data: data[:-8] + b"\xff\xff\xff\xff" + b"PAR1",
        lambda data: data[len(data) // 2 :],
        lambda data: data[:-200] + bytes(192) + data[-8:],
    ],
)
def test_a_broken_footer_is_invalid_content(store: ObjectStore, damage: Any) -> None:
    store.put("t.parquet", [bytes(damage(whole()))])

    with pytest.raises(InvalidContent) as failure:
        preview(store, "t.parquet")

    assert failure.value.key == "t.parquet"
    assert failure.value.reason


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_give_rows_or_invalid_content(store: ObjectStore, seed: int) -> None:
    data = whole()
    for at in range(seed, len(data), 37 + 11 * seed):
        data[at] ^= 0x5A
    store.put("t.parquet", [bytes(data)])

    with pytest.raises(InvalidContent):
        preview(store, "t.parquet")


def test_a_decompression_bomb_ends_in_its_own_process(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "MEMORY_MAX_BYTES", 500 * MIB)
    table = pa.table({"s": pa.array([b"\x00" * (1 << 29)], pa.large_binary())})
    size_bytes = put_parquet(store, "t.parquet", table, compression="zstd", use_dictionary=False, write_statistics=False)
    assert size_bytes < 4 * MIB

    with pytest.raises(InvalidContent, match="memory"):
        preview(store, "t.parquet")


def test_a_preview_that_takes_too_long_is_ended(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "TIMEOUT_S", 0.01)
    put_parquet(store, "t.parquet", pa.table({"a": [1]}))

    with pytest.raises(InvalidContent, match="time"):
        preview(store, "t.parquet")


def test_a_preview_that_would_read_too_much_is_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "READ_MAX_BYTES", 6 * MIB)
    store.put("t.csv", [b"a,b\n" + b"1,2\n" * 3_000_000])

    assert preview(store, "t.csv", limit=2).rows == [[1, 2], [1, 2]]
    with pytest.raises(InvalidContent, match="read"):
        preview(store, "t.csv", offset=2_900_000)


# ---- CSV ------------------------------------------------------------------------------------------------------------


def test_a_csv_preview_guesses_types(store: ObjectStore) -> None:
    store.put("t.csv", [b"id,name,score\n1,a,0.5\n2,,\n3,c,1.5\n"])

    seen = preview(store, "t.csv")

    assert seen.columns == [Column("id", "int64", 0), Column("name", "string", 1), Column("score", "double", 1)]
    assert seen.rows == [[1, "a", 0.5], [2, None, None], [3, "c", 1.5]]
    assert seen.total_rows == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.csv", "a;b\n1;2\n"), ("t.tsv", "a\tb\n1\t2\n"), ("t.csv", "a|b\n1|2\n"), ("t.csv", 'a,b\n"1","2"\n')],
)
def test_csv_has_many_delimiters(store: ObjectStore, name: str, text: str) -> None:
    store.put(name, [text.encode()])

    seen = preview(store, name)

    assert ([column.name for column in seen.columns], seen.rows) == (["a", "b"], [[1, 2]])


def test_quoted_line_breaks_stay_in_their_cell(store: ObjectStore) -> None:
    store.put("t.csv", [b'a,b\n"x\ny",1\n'])

    assert preview(store, "t.csv").rows == [["x\ny", 1]]


def test_a_late_row_of_another_type_makes_strings(store: ObjectStore) -> None:
    store.put("t.csv", [b"a\n", b"1\n" * 800_000, b"oops\n"])

    seen = preview(store, "t.csv", offset=799_999, limit=5)

    assert seen.columns == [Column("a", "string", 0)]
    assert (seen.rows, seen.total_rows) == ([["1"], ["oops"]], 800_001)


@pytest.mark.parametrize(
    ("cells", "type", "values"),
    [
        (["1", "", "-2"], "int64", [1, None, -2]),
        (["1", "2.5"], "double", [1.0, 2.5]),
        (["1e3", "nan"], "double", [1000.0, "NaN"]),
        (["true", "false"], "bool", [True, False]),
        (["true", "1"], "string", ["true", "1"]),
        (["1" * 30, "2"], "double", [float("1" * 30), 2.0]),
        (["2026-01-01", "x"], "string", ["2026-01-01", "x"]),
        (["0x10", "1_000"], "string", ["0x10", "1_000"]),
    ],
)
def test_the_type_of_a_csv_column_holds_all_its_cells(
    store: ObjectStore, cells: list[str], type: str, values: list[object]
) -> None:
    store.put("t.csv", [("a,b\n" + "".join(f"{c},x\n" for c in cells)).encode()])

    seen = preview(store, "t.csv")

    assert seen.columns[0].type == type
    assert [row[0] for row in seen.rows] == (pytest.approx(values) if "1" * 30 in cells else values)


def test_a_csv_file_need_not_be_utf_8(store: ObjectStore) -> None:
    store.put("t.csv", ["name\nM\xfcller\n".encode("latin-1")])

    assert preview(store, "t.csv").rows == [["M\ufffdller"]]


def test_the_end_of_a_large_csv_file_is_not_read(store: ObjectStore) -> None:
    store.put("t.csv", [b"a,b\n", *[b"1,2\n" * 262_144] * 100])

    seen = preview(store, "t.csv", offset=10, limit=3)

    assert (seen.rows, seen.total_rows, seen.columns[0].null_count) == ([[1, 2]] * 3, None, None)
    assert seen.bytes_read < 8 * MIB


def test_an_empty_csv_file_is_an_empty_table(store: ObjectStore) -> None:
    store.put("t.csv", [b""])
    store.put("header.csv", [b"a,b\n"])

    assert (preview(store, "t.csv").total_rows, preview(store, "t.csv").columns) == (0, [])
    assert [column.name for column in preview(store, "header.csv").columns] == ["a", "b"]


def test_rows_of_different_width_are_invalid_content(store: ObjectStore) -> None:
    store.put("t.csv", [b"a,b\n1,2\n1,2,3\n"])

    with pytest.raises(InvalidContent, match="column"):
        preview(store, "t.csv")


def test_a_very_wide_csv_file_is_cut_or_refused(store: ObjectStore) -> None:
    store.put("t.csv", [",".join(f"c{n}" for n in range(50_000)).encode(), b"\n", b",".join([b"1"] * 50_000), b"\n"])

    seen = preview(store, "t.csv")

    assert (len(seen.columns), len(seen.rows[0]), seen.total_columns) == (200, 200, 50_000)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_json_lines_are_a_table_of_all_keys(store: ObjectStore) -> None:
    store.put("t.jsonl", [b'{"a": 1, "b": "x"}\n\n{"a": 2.5, "c": [1, {"d": null}]}\n{"a": null}\n7'])

    seen = preview(store, "t.jsonl")

    assert [(column.name, column.type) for column in seen.columns] == [
        ("a", "number"), ("b", "string"), ("c", "array"), ("value", "integer"),
    ]  # fmt: skip
    assert seen.rows == [
        [1, "x", None, None],
        [2.5, None, '[1, {"d": null}]', None],
        [None, None, None, None],
        [None, None, None, 7],
    ]
    assert seen.total_rows == 4


def test_json_lines_are_paged_without_reading_the_rest(store: ObjectStore) -> None:
    line = json.dumps({"n": 1, "pad": "x" * 1000}).encode() + b"\n"
    store.put("t.jsonl", [line * 20_000])

    seen = preview(store, "t.jsonl", offset=5, limit=2)

    assert ([row[0] for row in seen.rows], seen.total_rows) == ([1, 1], None)
    assert seen.bytes_read < MIB


@pytest.mark.parametrize(
    "document",
    ['[{"a": 1, "b": 2}, {"a": 3, "b": 4}]', '{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}'],
)
def test_a_json_document_may_be_a_table(store: ObjectStore, document: str) -> None:
    store.put("t.json", [document.encode()])

    seen = preview(store, "t.json", offset=1)

    assert (seen.rows, seen.total_rows, seen.text) == ([[3, 4]], 2, None)


def test_any_other_json_document_is_text(store: ObjectStore) -> None:
    store.put("t.json", [b'{"b":1,"a":[true]}'])

    seen = preview(store, "t.json")

    assert (seen.format, seen.text, seen.rows) == ("json", '{\n  "b": 1,\n  "a": [\n    true\n  ]\n}', [])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.json", b"{"),
        ("t.json", b""),
        ("t.json", b"\xff\xfe"),
        ("t.json", b"[" * 100_000 + b"]" * 100_000),
        ("t.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("t.json", b"[" + b"9" * 100_000 + b"]"),
        ("t.jsonl", b'{"a": 1}\n{"a":'),
        ("t.jsonl", b"[" * 1_000_000),
        ("t.jsonl", b'"' + b"x" * 9_000_000 + b'"'),
    ],
)
def test_broken_or_wild_json_is_invalid_content(store: ObjectStore, name: str, data: bytes) -> None:
    store.put(name, [data])

    with pytest.raises(InvalidContent):
        preview(store, name)


# ---- text and the rest ----------------------------------------------------------------------------------------------


def test_text_is_cut_at_its_limit(store: ObjectStore) -> None:
    store.put("long.log", [b"line\n" * 100_000])
    store.put("short.md", ["# ünï".encode()])

    long, short = preview(store, "long.log"), preview(store, "short.md")

    assert (len(long.text or ""), long.truncated, long.bytes_read) == (65536, True, 65536)
    assert (short.text, short.truncated) == ("# ünï", False)


def test_bytes_are_not_shown_as_text(store: ObjectStore) -> None:
    store.put("model.pkl", [b"\x80\x05"])
    store.put("liar.txt", [b"\x00\x01\x02"])
    store.put("t.csv.gz", [gzip.compress(b"a\n1\n")])

    for key in ("model.pkl", "liar.txt", "t.csv.gz"):
        assert (preview(store, key).format, preview(store, key).text) == ("binary", None)


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("a/t.parquet", None, "parquet"),
        ("t.PARQUET", None, "parquet"),
        ("t", "text/csv; charset=utf-8", "csv"),
        ("t.csv", "application/octet-stream", "csv"),
        ("page.html", None, "text"),
        ("x.svg", None, "text"),
        ("conf.yaml", None, "text"),
        ("t", None, "binary"),
    ],
)
def test_the_format_is_told_by_name_or_type(name: str, media_type: str | None, expected: str) -> None:
    assert format_of(name, media_type) == expected


@pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, 501), (10**12, 1)])
def test_pages_have_limits(store: ObjectStore, offset: int, limit: int) -> None:
    store.put("t.csv", [b"a\n1\n"])

    with pytest.raises(ValueError, match="lies between"):
        preview(store, "t.csv", offset=offset, limit=limit)


def test_a_preview_of_nothing_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        preview(store, "t.parquet")


def test_importing_the_package_loads_neither_pyarrow_nor_minio() -> None:
    import subprocess

    code = (
        "import sys, storage.config, storage.previews, storage.sweep;"
        "print([name for name in ('pyarrow', 'minio', 'urllib3') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
