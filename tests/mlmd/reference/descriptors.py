"""Run by the reference client's own Python: its two descriptor files, one a line, in hex."""

from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

for module in (metadata_store_pb2, metadata_store_service_pb2):
    print(module.DESCRIPTOR.serialized_pb.hex())
