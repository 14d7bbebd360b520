# SPDX-License-Identifier: Apache-2.0
"""JSON, a regular expression, a hash, a count and a sort of 8,000 records."""
import collections
import hashlib
import json
import re

records = [{"id": i, "name": f"n{i}", "tags": ["a", "b", str(i % 17)], "value": i / 3} for i in range(8000)]
text = json.dumps(records)
print(len(text), len(json.loads(text)), len(re.findall(r'"name": "n(\d+)"', text)))
print(hashlib.sha256(text.encode()).hexdigest())
print(collections.Counter(tag for record in records for tag in record["tags"]).most_common(2))
print(sorted(records, key=lambda record: -record["value"])[0]["id"])
