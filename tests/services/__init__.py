"""Real servers for tests: started, or reached by a DSN, and given up clean.

`servers.py` starts and ends processes, `minio.py` and `seaweedfs.py` are object stores on free ports, `postgres.py` and
`mariadb.py` hand out empty databases of a server that runs already. A folder's `conftest.py` imports the fixtures it
needs: `minio_server`, `seaweedfs_server` (an `s3.S3Server`, one per run), `postgres_dsn`, `mariadb_dsn` (an empty
database for the module). A missing server is a skip that names its variable.
"""
