"""Our own REST API, `/api/v1`: one module of routes per record, wire shapes in schemas.py, described by docs/openapi.json."""
