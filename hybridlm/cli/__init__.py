"""The command line: reads flags, validates, and only then imports the rooms that do the work."""
