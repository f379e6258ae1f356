"""`python -m pipeval` is the command `pipeval`."""

import sys

from .cli import main

sys.exit(main())
