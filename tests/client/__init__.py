"""Tests of the client and its command line, against a server that listens on a port."""
