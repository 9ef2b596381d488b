"""A pytest plugin for the newer client, whose C++ part needs a newer libstdc++ than it says: over the network it is not used."""

import sys
import types

module = types.ModuleType("ml_metadata.metadata_store.pywrap.metadata_store_extension")
module.metadata_store = types.ModuleType("metadata_store")  # type: ignore[attr-defined]
sys.modules[module.__name__] = module
