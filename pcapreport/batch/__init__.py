"""Many captures: discovery, worker processes, one index over all."""
