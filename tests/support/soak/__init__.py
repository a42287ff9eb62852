"""A soak: the shipped agent, real kills for hours, and whether its memory and its journal stay where they are."""
