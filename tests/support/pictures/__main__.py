"""`make pictures`: docs/pictures, of the kills that were recorded; with --record of new ones."""

import asyncio
import sys

from pictures.draw import PICTURES, drawn
from pictures.record import record

if "--record" in sys.argv:
    asyncio.run(record())
PICTURES.mkdir(exist_ok=True)
for name, svg in drawn().items():
    (PICTURES / f"{name}.svg").write_text(svg)
