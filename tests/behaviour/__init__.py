"""Each use case, written through one door and read back through every other: one adapter a door, which knows its words."""
