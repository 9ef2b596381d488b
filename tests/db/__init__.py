"""Tests of registry/db and the migrations."""
