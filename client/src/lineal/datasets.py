"""What a run read or made as a dataset: where it lies, its digest, and what is known of its columns."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineal.errors import LinealError
from lineal.local_files import Content, read_content


@dataclass(frozen=True)
class Source:
    """`uri`: it lies elsewhere and is only recorded; else `content` is to be sent as `file_name`."""

    name: str
    type: str
    text: str
    uri: str | None = None
    content: Content | None = None
    file_name: str = ""
    schema: str | None = None
    profile: str | None = None


@contextmanager
def opened(source: Any, name: str | None) -> Iterator[Source]:
    """A path, a URI (`scheme://…`) or a pandas DataFrame, which is a Parquet file while the block lasts.

    Raises LinealError: it is none of these, is not there, or pandas and pyarrow are not both installed.
    """
    if isinstance(source, str) and "://" in source:
        yield Source(name or _last(source), source.partition(":")[0], source, uri=source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        content = read_content(path)
        file_name = path.resolve().name
        yield Source(
            name or (file_name if content.folder else path.stem), "local", str(source), content=content, file_name=file_name
        )
    elif type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "to_parquet"):
        if name is None:
            raise LinealError("a DataFrame has no name: give one")
        with tempfile.TemporaryDirectory() as folder:
            yield _of_frame(source, name, Path(folder) / "data.parquet")
    else:
        raise LinealError(f"a dataset is a path, a URI or a pandas DataFrame, not a {type(source).__name__}")


def _of_frame(frame: Any, name: str, path: Path) -> Source:
    try:
        frame.to_parquet(path, engine="pyarrow")
    except ImportError as error:
        raise LinealError("writing a DataFrame as Parquet needs pandas and pyarrow: install pyarrow, or log a file") from error
    rows, columns = frame.shape
    return Source(
        name,
        "dataframe",
        "pandas",
        content=read_content(path),
        file_name=path.name,
        schema=json.dumps([{"name": str(key), "type": str(kind)} for key, kind in frame.dtypes.items()], ensure_ascii=False),
        profile=json.dumps({"num_rows": rows, "num_columns": columns}),
    )


def _last(uri: str) -> str:
    """The last segment of a URI that says anything."""
    path = uri.partition("://")[2].split("?", 1)[0].split("#", 1)[0].rstrip("/")
    return path.rpartition("/")[2] or uri
