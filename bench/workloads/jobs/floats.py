# SPDX-License-Identifier: Apache-2.0
"""Floats after a first sin(), a good part of them infinite or no numbers."""
import math

total = 0.0
for i in range(1, 150000):
    missing = math.nan if i % 3 == 0 else 1.0
    total += math.sin(i) * math.sqrt(i) / math.log(i + 1) + missing * 0.5
values = [math.inf, math.nan, 1.0] * 20000
print(total, sum(value * 2.0 > 1.0 for value in values), sum(value != value for value in values))
