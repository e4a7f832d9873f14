"""A deployment with thousands of meters, in memory and in wound time: what a run takes, exactly.

`threads` winds the time, `toll` says what a call costs and when it is refused, `services` are the
AWS clients, `fleet` puts meters into them and has the real clock run.
"""
