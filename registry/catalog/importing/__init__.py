"""Importing other stores: what all imports share here, one package for each kind of store beside it."""
