"""The commands, one module each. In: Settings. Out: what the command shows or does. Rules: wiring only."""
