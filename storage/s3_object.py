"""Writing one object of an S3 service: whole, or in parts by hand.

`minio` has no public calls for parts, and none that takes a condition, so its underscored ones are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from storage.s3_client import s3_errors
from storage.store import Part

if TYPE_CHECKING:
    from minio import Minio
    from urllib3 import BaseHTTPResponse

# ruff: noqa: SLF001 - see above


@dataclass(frozen=True, slots=True)
class S3Object:
    """`name` is the object's in the bucket, `key` what the store's callers call it. Errors are the store's."""

    client: "Minio"
    bucket: str
    name: str
    key: str

    def put(self, data: bytearray, media_type: str, *, overwrite: bool) -> str:
        """PutObject; the etag."""
        headers: dict[str, Any] = {"Content-Type": media_type, **_condition(overwrite=overwrite)}
        with s3_errors(self.key):
            written = self.client._put_object(self.bucket, self.name, _uncopied(data), headers)
        return written.etag or ""

    def start(self, media_type: str) -> str:
        with s3_errors(self.key):
            return self.client._create_multipart_upload(self.bucket, self.name, {"Content-Type": media_type})

    def put_part(self, upload_id: str, number: int, data: bytearray) -> Part:
        with s3_errors(self.key, upload_id):
            etag = self.client._upload_part(self.bucket, self.name, _uncopied(data), None, upload_id, number)
        return Part(number, etag)

    def complete(self, upload_id: str, parts: Sequence[Part], *, overwrite: bool = True) -> str:
        """CompleteMultipartUpload; the etag. It may fail in the body of an answer that says 200."""
        root = ET.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        for part in parts:
            element = ET.SubElement(root, "Part")
            ET.SubElement(element, "PartNumber").text = str(part.number)
            ET.SubElement(element, "ETag").text = f'"{part.etag}"'
        headers: dict[str, Any] = {"Content-Type": "application/xml", **_condition(overwrite=overwrite)}
        with s3_errors(self.key, upload_id):
            response = self.client._execute(
                "POST",
                self.bucket,
                self.name,
                body=ET.tostring(root),
                headers=headers,
                query_params={"uploadId": upload_id},
            )
            return _etag_of(response)

    def abort(self, upload_id: str) -> None:
        with s3_errors(self.key, upload_id):
            self.client._abort_multipart_upload(self.bucket, self.name, upload_id)


def _condition(*, overwrite: bool) -> dict[str, str]:
    return {} if overwrite else {"If-None-Match": "*"}


def _uncopied(data: bytearray) -> Any:
    """`minio` wants bytes by its annotation and takes any buffer: this saves a copy of the part."""
    return data


def _etag_of(response: "BaseHTTPResponse") -> str:
    from minio import S3Error

    root = ET.fromstring(response.data)  # noqa: S314 - `minio` reads all answers of this service in the same way
    if root.tag.endswith("Error"):
        raise S3Error.fromxml(response)
    return next((element.text or "" for element in root if element.tag.endswith("ETag")), "").replace('"', "")
