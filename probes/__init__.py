"""Ask: one question, one target, answers back; no schedule, no storage, no configuration file."""
