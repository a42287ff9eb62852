"""docs/pictures/*.svg: what `kubectl oom` and `oomeventer trace` print of real kills (`make pictures`). record.py makes
the kills, once, into data/kills.json; draw.py runs the command on them, and draws what it prints."""
