"""The ML Metadata door: `ml_metadata.MetadataStoreService` over gRPC, on a port of its own."""
