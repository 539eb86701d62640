"""The wall: what the shift looks at, served from live state, no database needed."""
