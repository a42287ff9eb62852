"""`python -m oomeventer`."""

import sys

from oomeventer.cli import main

sys.exit(main())
