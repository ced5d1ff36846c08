"""`python -m bioq` is `bioq`."""

import sys

from bioq.cli import main

sys.exit(main())
