"""Hostile input: seeds, mutations that know the containers, and the one promise that all of it must keep."""
