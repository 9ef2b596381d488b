"""Tests of the REST door, against a server that listens on a port."""
