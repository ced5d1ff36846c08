"""Settings of every test: one thread, no windows, no deadline that a busy machine breaks."""

import os

# Before NumPy, torch or matplotlib are imported: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

settings.register_profile("bioq", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("bioq")
