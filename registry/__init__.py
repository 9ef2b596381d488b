"""The service: value types, errors, settings, tables, use cases and doors."""
