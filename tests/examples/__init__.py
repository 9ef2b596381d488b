"""What `examples/` holds: its objects and the demo."""
