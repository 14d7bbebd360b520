# SPDX-License-Identifier: Apache-2.0
"""Programs that Python starts, and a pipe of three."""
import subprocess

for _ in range(40):
    subprocess.run(["/bin/true"], check=True)
print(subprocess.run("echo a | tr a b | cat", shell=True, capture_output=True).stdout)
