"""Tests of Lineal, one folder per area; `services/` holds the real servers that they use."""
