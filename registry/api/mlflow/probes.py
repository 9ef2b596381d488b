"""What clients ask before anything else: health, version, what the server can do. No identity is needed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from storage.store import ObjectStore

VERSION = "3.3.0"
"""Of the tracing protocol that is offered: below 3.4 a client does not try to send spans, which are not kept here."""


def server_info(store: ObjectStore | None) -> dict[str, Any]:
    """Transfer by links only where they lead to an address that clients reach: inside of a cluster alone they would be of no use,
    and a client that was told of them would not fall back to the proxy.
    """
    links = store is not None and store.has_public_links
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": True,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": links,
        "multipart_downloads_enabled": links,
        "artifact_serving_enabled": True,
        "presigned_upload_run_id_supported": links,
        "presigned_upload_model_id_supported": False,
        "model_artifact_presigned_downloads_supported": False,
        "artifacts_presigned_only": False,
        "features_enabled": {"gateway": False, "scheduled_issue_detection": False},
    }


async def health(_request: Request) -> Response:
    return PlainTextResponse("OK")


async def version(_request: Request) -> Response:
    return PlainTextResponse(VERSION)
