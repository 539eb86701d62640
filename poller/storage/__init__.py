"""Where measurements are kept: the journal (durable first), the stores that read it, and the way to read the past."""
