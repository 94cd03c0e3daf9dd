"""What each command does, one module for those that belong together; `cli` gathers them.

They print, read the clock and end the process, which nothing below them does. What the work takes is imported when a
command runs, so that `pcapreport --help` stays fast.
"""
