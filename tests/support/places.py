"""Where things are in the checkout."""

from pathlib import Path

SUPPORT = Path(__file__).parent
DATA = SUPPORT / "data"
REPOSITORY = SUPPORT.parent.parent
