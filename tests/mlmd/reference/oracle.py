"""Run by the reference client's own Python: its C++ store in this process, asked over stdin and answering on stdout.

A question is `<method> <bytes>`, a line break and that many bytes; `RESET` begins an empty store, in memory or at the path
that is its bytes. An answer is `<code> <bytes>`, a line break and that many bytes. What the store does not have has the code 12.
"""

import sys

from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as cpp
from ml_metadata.proto import metadata_store_pb2 as pb


def opened(path: str) -> object:
    config = pb.ConnectionConfig()
    config.sqlite.SetInParent()
    if path:
        config.sqlite.filename_uri = path
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return cpp.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())


store = opened("")
while line := sys.stdin.buffer.readline():
    method, size = line.split()
    body = sys.stdin.buffer.read(int(size))
    if method == b"RESET":
        store = opened(body.decode())
        code, answer = 0, b""
    elif not hasattr(cpp, method.decode()):
        code, answer = 12, b""
    else:
        answer, message, code = getattr(cpp, method.decode())(store, body)
        answer = answer if code == 0 else message
    sys.stdout.buffer.write(b"%d %d\n" % (code, len(answer)))
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
