# SPDX-License-Identifier: Apache-2.0
"""Four threads and a queue."""
import queue
import threading

jobs = queue.Queue()
results = []


def work():
    while (count := jobs.get()) is not None:
        results.append(sum(range(count)))


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for n in range(4000):
    jobs.put(n % 300)
for _ in threads:
    jobs.put(None)
for thread in threads:
    thread.join()
print(sum(results))
