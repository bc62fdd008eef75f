"""What the workers share: one process holds one contender in memory and does a piece of work for every line it reads.

A line is a JSON object of keyword arguments; the answer is one JSON object on a line. Whatever the contender prints to standard output
itself goes to standard error.
"""

import json
import os
import sys
import time


def answers():
    """Takes standard output away from everybody else and returns a function that writes an answer to it."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def say(**fields):
        out.write(json.dumps(fields) + "\n")
        out.flush()

    return say


def peak_rss():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def serve(say, work, **ready):
    say(ready=True, peak_rss_bytes=peak_rss(), **ready)
    for line in sys.stdin:
        result = work(**json.loads(line))
        say(peak_rss_bytes=peak_rss(), **result)


def stamps(start, encoded, tokens):
    """The figures of one answer from the times at which it began, had the picture encoded, and gave each token."""
    r = {"encode_s": encoded - start, "prefill_s": tokens[0] - encoded, "first_token_s": tokens[0] - start}
    if len(tokens) > 1:
        r["tokens_per_s"] = (len(tokens) - 1) / (tokens[-1] - tokens[0])
    return r


now = time.perf_counter
