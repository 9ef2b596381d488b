"""`python -m tests.faults.sweeping DB STORE`: what a sweep two days from now removes, a line each."""

import sys
from datetime import UTC, datetime, timedelta

from registry.maintenance import opened, orphans
from storage.config import open_store


def main(db: str, store: str) -> None:
    now = datetime.now(UTC) + timedelta(days=2)
    for orphan in orphans(opened(db), open_store(store), grace=timedelta(days=1), delete=True, now=now):
        print(orphan)


if __name__ == "__main__":
    main(*sys.argv[1:])
