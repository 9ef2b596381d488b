"""Bytes: one object-store protocol, two stores, previews of tables, and what keeps a client's names and files harmless.

Knows nothing of `registry`, and is the only importer of `minio` and `pyarrow`, both imported where they are used: a
server on a local directory loads neither. Start reading at `store.py` (the protocol), then `local.py`, `s3.py`,
`config.py`.
"""
