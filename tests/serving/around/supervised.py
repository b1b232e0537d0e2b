"""A server under supervision, for the tests: prints its process's number, and ends as its argument says."""

import os
import signal
import sys
import threading
import time

from langgraph_ratchet.serving.supervisor import supervise

threading.Thread(target=time.sleep, args=(0.2,)).start()  # as a progress line's, which ends soon
starts = supervise()
print(os.getpid(), starts, flush=True)
how = sys.argv[1]
if how == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "fails":
    sys.exit(3)
asked = []


def stop(number: int, frame: object) -> None:
    asked.append(number)
    print("asked", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("serves", flush=True)
time.sleep(60)
