"""How SQL is reached: engines, one session per call, the runner that commits, id sources. No table is named here."""
