"""What runs in a guest: makes real kills under the shipped agent, and tells what the agent and the kernel said."""
