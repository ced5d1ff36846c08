"""`bioq summary`."""
