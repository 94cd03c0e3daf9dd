"""Reconstructed histories against what kernels recorded."""
