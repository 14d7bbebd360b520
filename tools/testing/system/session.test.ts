// SPDX-License-Identifier: Apache-2.0
// Many programs one after the other in one machine, often enough that most of their code is translated: what one leaves
// behind (translations, links between them, facts about memory) must not reach the next. The same output is asked for as
// natively, under several seeds, and from translations that earlier runs have kept.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { directoryTranslations, fileDisk, Machine } from "../../../virt/host/node/index.ts";
import { runNative } from "../differential/native.ts";
import { run, testImage } from "./image.ts";

const SCRIPT = `
cd /tmp && rm -rf session && mkdir session && cd session
export HOME=$PWD LC_ALL=C GIT_AUTHOR_DATE=2024-01-01T00:00:00Z GIT_COMMITTER_DATE=2024-01-01T00:00:00Z
database() {
  sqlite3 :memory: "create table t(id integer primary key, k int, name text);
    with recursive c(i) as (select 1 union all select i + 1 from c where i < 20000)
      insert into t select i, i * 7919 % 1009, 'name' || (i % 53) from c;
    create index tk on t(k);
    select count(*), sum(k) from t where k between 100 and 600;
    select name, count(*), avg(k) from t group by name order by 2 desc, 1 limit 3;"
}
compress() { seq 1 40000 | $1 | $2 | sha256sum; }
compile() {
  for i in 1 2 3 4 5 6; do
    echo "int f$i(int *a, int n) { int s = $i; for (int i = 0; i < n; i++) s = s * 31 + a[i]; return s; }"
  done > a.c
  gcc -O2 -S -o - a.c | sha256sum
}
commit() {
  rm -rf repo && mkdir -p repo/d && seq 1 3000 > repo/d/a && seq 1 2 3000 > repo/b && cd repo
  git init -q . && git add . && git -c user.name=a -c user.email=a@b.c commit -q -m one && git log --format=%H
  cd ..
}
script() {
  perl -e 'for (1 .. 30000) { my $s = "item$_:" . $_ * 7; $h{$2 % 17} += $1 if $s =~ /^item(\\d+):(\\d+)$/ }
    print join(",", map { "$_=$h{$_}" } sort keys %h), "\\n"'
  python3 -c 'd = {}
for i in range(30000): k = "k%d" % (i * 7919 % 503); d[k] = d.get(k, 0.5) + len(k) / 3
print(len(d), sum(d.values()))'
}
shell() {
  bash -c 'n=0; for ((i = 0; i < 200; i++)); do /bin/true; n=$((n + i)); s=$s\${n: -1}; done; echo $n $s
    case $s in *4*) echo \${s//4/four} ;; esac'
}
for round in 1 2; do
  database; compress "xz -1 -T1" "xz -d"; compress "gzip -6" "gzip -d"; compile; commit; script; shell; database
  tar cf - repo/d | sha256sum --status; seq 50000 -1 1 | sort -n | tail -1
  test $round = 2 || sleep 1.2 # long enough for what is kept to be written meanwhile
done
echo end $?
`;

const COMMAND = ["/bin/bash", "-c", SCRIPT];
let expected: string | undefined;

function native(): string {
  expected ??= runNative(testImage(), COMMAND).stdout.toString("latin1");
  assert.match(expected, /end 0\n$/);
  return expected;
}

async function session(options: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const result = await run([...options, "--", ...COMMAND], "", env);
  assert.equal(result.status, 0, result.stderr);
  return result.stdout;
}

for (const seed of [4, 5]) {
  test(`a session of many programs under seed ${seed}`, async () => {
    assert.equal(await session(["--seed", String(seed)]), native());
  });
}

test("a session of many programs, three times over with the translations of the time before", async () => {
  const cache = mkdtempSync(join(tmpdir(), "rookery-session-"));
  try {
    for (let n = 1; n <= 3; n++) {
      assert.equal(await session([], { XDG_CACHE_HOME: cache }), native(), `time ${n}`);
    }
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});

/** Longer than it takes until an idle machine leaves what it has. */
const QUIET_MS = 3000;

test("a machine of the library that is idle has left its translations to the next", async () => {
  const cache = mkdtempSync(join(tmpdir(), "rookery-session-"));
  const boot = (): Promise<Machine> =>
    Machine.boot({
      root: fileDisk(testImage()),
      memory: "512MiB",
      translations: directoryTranslations(cache),
    });
  const command = ["python3", "-c", "print(sum(i * i for i in range(100000)))"];
  try {
    await using first = await boot();
    await first.exec(command);
    await sleep(QUIET_MS);
    await using second = await boot();
    assert.equal((await second.exec(command)).stdout, "333328333350000\n");
    const [then, now] = [first.statistics(), second.statistics()];
    assert.equal(then["loadedBlocks"], 0);
    assert.ok(now["storedModules"]! > 0);
    assert.ok(now["lifted"]! < then["lifted"]! / 20, `${now["lifted"]} of ${then["lifted"]}`);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});
