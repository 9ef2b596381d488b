"""`lineal-server import`: other stores become records here, batch by batch. `job` is what all imports share."""
