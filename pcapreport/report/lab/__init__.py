"""The laboratory report of one connection: how it opened, what it carried, how it closed, step by step and in words.

lesson.py        the connection at hand: its rows, landmarks, states, numbers
header.py        the fields of a segment's TCP header
opening.py, release.py   the two processes, step by step
transfer.py      the data: round trips and their estimates, acknowledgments, throughput
questions_*.py   what laboratory sheets ask, answered
record.py        all of it as the document's `lab`
"""
