"""What happened, in order: for the counts at the end, and for the timeline where an invariant broke."""

import threading
import time


class Record:
    def __init__(self, shown=True):
        self.began, self.lines, self.lock, self.shown = time.monotonic(), [], threading.Lock(), shown

    def now(self):
        return time.monotonic() - self.began

    def add(self, what, about=None, at=None, is_loud=False):
        """Notes what happened; `about` names a workload, or is None for what concerns all of them, and is shown at once."""
        at = self.now() if at is None else at
        with self.lock:
            self.lines.append((at, about, what))
        if self.shown and (is_loud or about is None):
            print(f"{at:8.2f} s  {what}", flush=True)

    def of(self, workload):
        """The timeline of one workload: its own story, and the faults."""
        with self.lock:
            return [f"{at:9.3f} s  {what}" for at, about, what in sorted(self.lines, key=lambda line: line[0])
                    if about in (None, workload)]
