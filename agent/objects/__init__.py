"""The kinds beside Workflows, one file each: what an object of it says, and its `Kind`. `conditions.py` is what they share."""
