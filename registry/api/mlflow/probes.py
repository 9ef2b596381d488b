"""What clients ask before anything else: health, version, what the server can do. No identity is needed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

VERSION = "3.3.0"
"""Of the tracing protocol that is offered: below 3.4 a client does not try to send spans, which are not kept here."""

SERVER_INFO: dict[str, Any] = {
    "store_type": "SqlStore",
    "workspaces_enabled": True,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "artifact_serving_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "model_artifact_presigned_downloads_supported": False,
    "artifacts_presigned_only": False,
    "features_enabled": {"gateway": False, "scheduled_issue_detection": False},
}


async def health(_request: Request) -> Response:
    return PlainTextResponse("OK")


async def version(_request: Request) -> Response:
    return PlainTextResponse(VERSION)
