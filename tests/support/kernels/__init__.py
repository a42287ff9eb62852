"""Real kernels under emulation: fetched, booted, and held against what the agent says of their kills."""
