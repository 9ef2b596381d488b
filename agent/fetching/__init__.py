"""What an object lacks and another service knows: each source is optional, bounded, and never the reason for a lost report.

`fetcher.py` decides what is worth fetching and puts it into the report; the other modules have one source each.
"""
