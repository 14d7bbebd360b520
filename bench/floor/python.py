# SPDX-License-Identifier: Apache-2.0
# Runs a Python script again and again. usage: python -c "$(cat python.py)" ARGUMENT SCRIPT TIMES. A line for each time: a sum of what it prints, and ms of CPU.
import io, sys, time
argument, name, times = sys.argv[1:]
program = compile(open(name).read(), name, "exec")
sys.argv = [name, argument]
for _ in range(int(times)):
    out, sys.stdout = sys.stdout, io.StringIO()
    start = time.process_time()
    exec(program, {"__name__": "__main__"})
    ms = (time.process_time() - start) * 1e3
    text, sys.stdout = sys.stdout.getvalue(), out
    total = 0
    for c in text:
        total = total * 31 + ord(c) & 0xffffffff
    print("%x %.1f" % (total, ms))
