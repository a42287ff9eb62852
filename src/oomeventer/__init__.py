"""oomeventer explains out-of-memory kills: from the kernel's record to a Kubernetes Event."""

__version__ = "0.1.0"
