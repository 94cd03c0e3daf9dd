"""A small laboratory: real Linux TCP stacks, a path between them that can be scripted, and recorders."""
