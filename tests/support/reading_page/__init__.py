"""docs/reading-an-event.md's messages, made anew by real kills (`make reading`). kills.py makes them here; guests' come
from the last `make test-kernels`; what neither has made keeps the message that the page has."""
