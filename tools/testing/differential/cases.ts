// SPDX-License-Identifier: Apache-2.0
// Invocations of Debian programs that must give the same standard output, exit status and files in Rookery as natively.
//
// Each script runs in bash in an empty directory of its own. Output that must differ (process ids, times, addresses) is
// avoided or filtered by the script itself, never by the comparison.

export interface Case {
  readonly name: string;
  readonly script: string;
}

/** Runs a full-screen program under a pty of fixed size, typing `keys` (pairs of a pause's end marker and bytes). */
function underPty(command: string, keys: readonly string[]): string {
  const typed = keys.map((key) => JSON.stringify(key)).join(", ");
  return `cat > drive.py <<'EOF'
import os, pty, select, struct, fcntl, termios, sys
pid, master = pty.fork()
if pid == 0:
    os.environ.update(TERM="vt100", LINES="24", COLUMNS="80", LC_ALL="C")
    os.execvp("/bin/sh", ["sh", "-c", ${JSON.stringify(command)}])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen = b""
def drain(quiet):
    global seen
    while True:
        ready, _, _ = select.select([master], [], [], quiet)
        if not ready: return True
        try: data = os.read(master, 65536)
        except OSError: return False
        if not data: return False
        seen += data
for key in [${typed}]:
    drain(1.5)
    try: os.write(master, key.encode())
    except OSError: break
drain(1.5)
_, status = os.waitpid(pid, 0)
print("status", os.waitstatus_to_exitcode(status), "drew", len(seen) > 0)
EOF
python3 drive.py`;
}

const shell: readonly Case[] = [
  {
    name: "bash-arithmetic",
    script:
      "echo $((6*7)) $((2**40)) $((-7/2)) $((-7%2)) $((0xff)) $((1<<33)); printf '%x %o %05d %s\\n' 255 8 42 hi",
  },
  {
    name: "bash-traps",
    script:
      "trap 'echo term' TERM; trap 'echo usr1' USR1; trap 'echo exit $?' EXIT; kill -USR1 $$; kill -TERM $$; exit 3",
  },
  {
    name: "bash-trap-err-debug",
    script:
      "set -E; trap 'echo err $?' ERR; false; (exit 4); f() { false; }; f; true; trap - ERR; false; echo done",
  },
  {
    name: "bash-jobs",
    script:
      "set -m; sleep 0.2 & sleep 0.1 & jobs | sed 's/^\\[\\([0-9]\\)\\].../job \\1 /'; wait; echo $?; (exit 7) & wait $!; echo $?",
  },
  {
    name: "bash-job-control",
    script:
      "set -m; sleep 10 & kill -STOP %1; sleep 0.1; jobs -s | grep -c Stopped; kill -CONT %1; kill %1; wait %1; echo $?",
  },
  {
    name: "bash-pipeline",
    script:
      "seq 1000 | grep 7 | sort -rn | head -5 | tac; echo ${PIPESTATUS[@]}; set -o pipefail; false | true; echo $?",
  },
  { name: "bash-sigpipe", script: "yes | head -3; echo ${PIPESTATUS[@]}" },
  {
    name: "bash-heredoc",
    script:
      "x=5; cat <<A <<B\nignored\nA\nx is $x `echo sub`\nB\ncat <<-'C'\n\t$x stays\n\tC\ncat <<< \"here $x\"",
  },
  {
    name: "bash-process-substitution",
    script: "diff <(seq 5) <(seq 2 6); paste <(echo a) <(echo b); echo $?",
  },
  {
    name: "bash-arrays",
    script:
      "declare -A m=([b]=2 [a]=1); for k in $(printf '%s\\n' \"${!m[@]}\" | sort); do echo $k=${m[$k]}; done; a=(1 2 3); a+=(4); echo ${a[@]:1:2} ${#a[@]} ${a[-1]}",
  },
  {
    name: "bash-expansions",
    script:
      "s=hello.tar.gz; echo ${s%%.*} ${s#*.} ${s/l/L} ${s^^} ${#s} ${s:1:3}; echo {a..e}{1..2}; echo ${undefined:-default}; [[ $s =~ ^(.*)\\.tar ]] && echo ${BASH_REMATCH[1]}",
  },
  {
    name: "bash-redirect",
    script:
      "exec 3>out; echo one >&3; exec 3>&-; echo two >> out; cat < out; ls nope 2>err; wc -l < err; { echo a; echo b >&2; } 2>&1 | sort; exec 4<>rw; echo hi >&4; cat rw",
  },
  {
    name: "bash-coproc-read",
    script:
      "coproc tr a-z A-Z; echo hello >&${COPROC[1]}; exec {COPROC[1]}>&-; cat <&${COPROC[0]}; while IFS=: read -r a b; do echo \"$b-$a\"; done <<< $'1:2\\n3:4'",
  },
  {
    name: "bash-signals-exit",
    script:
      "bash -c 'kill -9 $$'; echo $?; bash -c 'kill -SEGV $$' 2>/dev/null; echo $?; timeout 0.3 sleep 5; echo $?; bash -c 'exit 300'; echo $?",
  },
  {
    name: "bash-ulimit",
    script:
      "ulimit -n 64; ulimit -n; (ulimit -f 1; head -c 5000 /dev/zero > big 2>/dev/null; echo $?; stat -c %s big)",
  },
  {
    name: "bash-glob",
    script:
      "touch a1 a2 b1 .hidden 'sp ace'; echo *; echo a?; echo [!a]*; shopt -s dotglob nullglob; echo * x*; shopt -u dotglob nullglob; bash -O extglob -c 'echo !(a*)'",
  },
  {
    name: "dash",
    script:
      "dash -c 'for i in 1 2 3; do echo $i; done | while read x; do echo $((x*x)); done; case abc in a*) echo match;; esac; trap \"echo bye\" EXIT'",
  },
  {
    name: "not-found",
    script: "no_such_command_at_all; echo $?; ./nope; echo $?; touch plain; ./plain; echo $?; /etc; echo $?",
  },
];

const coreutils: readonly Case[] = [
  {
    name: "cat-tac-rev",
    script: "printf 'a\\nb\\nc\\n' > f; cat -n f; tac f; rev f; nl f; cat -A f; fold -w 1 f; expand f",
  },
  {
    name: "sort-uniq",
    script:
      "seq 2000 | awk '{print ($1*7919)%1000, $1%13}' | sort -k2,2n -k1,1nr | uniq -f1 -c | head; sort --version-sort <<< $'v1.10\\nv1.9\\nv1.2'; sort -u -R /dev/null",
  },
  {
    name: "cut-paste-join",
    script:
      "printf '1,a\\n2,b\\n' > x; printf '1,A\\n2,B\\n' > y; join -t, x y; cut -d, -f2 x; paste -sd+ x; comm x y; tr , ';' < x; split -l1 x part; ls; csplit -s x 2; ls xx*",
  },
  {
    name: "checksums",
    script:
      "seq 10000 > f; md5sum f; sha1sum f; sha256sum f; sha512sum f; b2sum f; cksum f; sum f; base64 -w 60 f | tail -2; sha256sum f > s; sha256sum -c s",
  },
  {
    name: "files",
    script:
      "mkdir -p d/e/f; echo x > d/e/f/g; ln d/e/f/g hard; ln -s d/e soft; cp -a d copy; mv copy moved; find . | sort; stat -c '%n %a %h %s %F' hard soft d; rm -rf d; cat hard; readlink soft; rmdir moved 2>&1; test -L soft; echo $?",
  },
  {
    name: "permissions",
    script:
      "touch f; chmod 640 f; stat -c %a f; chmod u+x,g-r,o=rw f; stat -c %a f; umask 027; touch g; mkdir h; stat -c '%a %n' g h; chmod 4755 f; ls -l f | cut -c1-10; install -m 700 -d i; stat -c %a i; chown 1000:1000 f; stat -c '%u %g %a' f",
  },
  {
    name: "ls-formats",
    script:
      "for i in 3 1 2; do echo $i > f$i; touch -d 2020-01-0$i f$i; done; ls -t; ls -S; ls -r; ls -1; ls -l --time-style=full-iso | cut -d' ' -f1-4,6-; ls -F; mkdir d; ls -dp d; ls -C -w 40",
  },
  {
    name: "dd-truncate",
    script:
      "dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; truncate -s 10000 z; stat -c '%s %b' z | cut -d' ' -f1; printf abc | dd of=z bs=1 seek=5 conv=notrunc 2>/dev/null; od -A d -c z | head -4; du --apparent-size -b z; head -c 4 z | xxd 2>/dev/null || true; tail -c 3 z | od -x",
  },
  {
    name: "date-env",
    script:
      "TZ=UTC date -d '2024-02-29 12:34:56 +1 year' '+%F %T %a %j'; TZ=America/New_York date -d @0 2>&1; env -i A=1 env; printenv HOME >/dev/null; echo $?; date -d garbage 2>&1; echo $?",
  },
  {
    name: "numbers",
    script:
      "seq -s, 1 0.5 3; factor 1234567890 18446744073709551557; numfmt --to=iec 123456789; expr 7 \\* 6; expr length hello; shuf -i 1-5 --random-source=/dev/zero; printf '%.10g %e %a\\n' 3.14159265358979 12345.678 1.5",
  },
  {
    name: "wc-head-tail",
    script:
      "seq 100000 > f; wc f; head -n -99995 f; tail -n +99998 f; tail -c 12 f; tee g < f | wc -c; cmp f g; echo $?; seq 5 > g; cmp f g; echo $?; diff -u <(seq 3) <(seq 2 4) | tail -n +3",
  },
  {
    name: "timeout-nice-nohup",
    script:
      "nice -n 5 nice; timeout -s KILL 0.2 sleep 3; echo $?; nohup echo hi 2>/dev/null; env -C / pwd; stdbuf -o0 echo unbuffered; nproc >/dev/null; echo $?; true; false; echo $?; yes no | head -2",
  },
  {
    name: "mktemp-mknod-fifo",
    script:
      "t=$(mktemp -d ./tmp.XXXX); test -d $t; echo $?; rmdir $t; mkfifo p; (echo through > p) & cat p; wait; stat -c %F p; mknod n c 1 3; echo gone > n; stat -c '%F %t %T' n; sync; realpath -m a/../b | sed 's#.*/##'",
  },
  {
    name: "errors",
    script:
      "cat nope; echo $?; rm nope; echo $?; mkdir a; mkdir a; echo $?; cd nope; echo $?; cp a b; echo $?; touch f; mkdir f/x; echo $?; rmdir f; mv nope x; ln a hard; echo $?",
  },
];

const text: readonly Case[] = [
  {
    name: "grep",
    script:
      "seq 1000 > f; grep -c 7 f; grep -n '^9.9$' f; grep -vE '[0-8]' f; grep -o '12' f | wc -l; grep -P '(\\d)\\1\\1' f; echo 'Foo bar' | grep -iw BAR; grep -rl 999 .; grep q f; echo $?; grep -A1 -B1 '^500$' f; echo 'a.b' | grep -F .; grep '[' f; echo $?",
  },
  {
    name: "sed",
    script:
      "seq 10 | sed -n '2~3p;$='; echo hello | sed 's/l/L/2;y/eo/EO/'; seq 6 | sed 'N;N;s/\\n/,/g'; printf 'a\\nb\\n' > f; sed -i.bak '1i top' f; cat f f.bak; sed -E 's/(.)(.)/\\2\\1/' <<< abcd; seq 3 | sed '2{h;d};${G}'",
  },
  {
    name: "awk",
    script:
      "seq 20 | awk '{s+=$1; q[$1%3]+=$1} END {print s; for (i=0;i<3;i++) print i, q[i]; printf \"%.3f %d %s\\n\", sqrt(2), 2^31, substr(\"hello\",2,3)}'; awk -F: '$3==0{print $1}' /etc/passwd; awk 'BEGIN{while((\"echo a b\"|getline x)>0) print toupper(x); print length(\"abc\"), index(\"hello\",\"l\"), exp(1), atan2(1,1)}'",
  },
  {
    name: "gawk",
    script:
      "gawk 'BEGIN{PROCINFO[\"sorted_in\"]=\"@ind_str_asc\"; split(\"c a b\",x); for(i in x) print i,x[i]; print strftime(\"%Y\",0,1), gensub(/(a)(b)/,\"\\\\2\\\\1\",\"g\",\"abab\"); print and(12,10), xor(12,10), lshift(1,10)}'",
  },
  {
    name: "mawk-float",
    script:
      "awk 'BEGIN{x=1;for(i=1;i<=30;i++)x*=i; printf \"%.6e %d %g %s\\n\", x, x/1e20, 1/3, 0.1+0.2; print log(10), sin(1), cos(1), int(-3.7), 1e300*1e300, -log(0)}'",
  },
  {
    name: "find-xargs",
    script:
      "mkdir -p a/b c; for i in 1 2 3; do echo $i > a/f$i; echo > \"c/s p$i\"; done; find . -type f -name 'f*' -print | sort; find . -type f -print0 | sort -z | xargs -0 -n2 echo; touch -d 2020-01-01 a/f1; touch -d 2020-01-02 a/f2 a/f3; find a -newer a/f1 -o -empty | grep -c f; find . -size -2c -type f | wc -l; find . -name '*2' -exec echo got {} \\; | sort; seq 10 | xargs -n3; seq 4 | xargs -P2 -I{} echo {} | sort; find . -perm -u+w -type d | sort; find . -delete; ls -A",
  },
  {
    name: "diff-patch",
    script:
      "seq 20 > a; sed '5d;10s/.*/ten/;15a new' a > b; diff a b; diff -u a b | tail -n +3; diff -y -W 30 a b | head; diff -q a b; echo $?; diff3 a a b | head; cmp a b; sdiff -s a b",
  },
  {
    name: "tr-unicode",
    script:
      "export LC_ALL=C.UTF-8; echo 'äöü€😀' | wc -m; echo 'äöü' | sed 's/./X/g'; echo 'ÄÖ' | awk '{print length($0)}'; printf '\\u20ac\\n' | od -An -tx1; echo hello | tr a-y b-z; echo aabbcc | tr -s a-c; iconv -f UTF-8 -t ISO-8859-1 <<< 'é' | od -An -tx1",
  },
];

const archives: readonly Case[] = [
  {
    name: "tar",
    script:
      "mkdir -p t/d; seq 1000 > t/a; echo x > t/d/b; ln -s a t/l; ln t/a t/h; chmod 750 t/d; tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf t.tar t; sha256sum t.tar; tar tvf t.tar | cut -c1-10,40-; mkdir x; tar xf t.tar -C x; diff -r t x/t; echo $?; stat -c %h x/t/a; tar xOf t.tar t/d/b",
  },
  {
    name: "gzip",
    script:
      "seq 50000 > f; gzip -nk f; sha256sum f.gz; gzip -l f.gz | tail -1; zcat f.gz | cmp - f; echo $?; gzip -n9c f | gunzip | md5sum; printf junk > bad.gz; gunzip bad.gz; echo $?; head -c 1000 f.gz > torn.gz; gunzip -c torn.gz | wc -c; tar --mtime=@0 -cf - f | gzip -n > d.tgz; tar tzf d.tgz",
  },
  {
    name: "xz",
    script:
      "seq 50000 > f; xz -k -T1 f; sha256sum f.xz; xz -l --robot f.xz | tail -1; xzcat f.xz | cmp - f; echo $?; xz -9e -c f | xz -dc | md5sum; printf x >> f.xz; xz -t f.xz; echo $?",
  },
  {
    name: "bzip2",
    script:
      "seq 30000 > f; bzip2 -k f; sha256sum f.bz2; bzcat f.bz2 | cmp - f; echo $?; bzip2 -t f.bz2; echo $?",
  },
  {
    name: "big-data",
    script:
      "head -c 20000000 /dev/zero | tr '\\0' 'x' | md5sum; seq 300000 | sha256sum; seq 200000 | sort -n | tail -1; seq 100000 | gzip -n | wc -c",
  },
];

const languages: readonly Case[] = [
  {
    name: "python-basics",
    script:
      "python3 -c 'print(6*7, 2**200, 1/3, [x*x for x in range(5)], {1:2}, \"äö\".encode(), f\"{3.14159:.2f}\", round(2.5), -7//2, divmod(-7,2))'; python3 -c 'import sys; sys.exit(5)'; echo $?; python3 -c 'raise ValueError(1)' 2>&1 | tail -1; echo 'print(input()[::-1])' > r.py; echo abc | python3 r.py",
  },
  {
    name: "python-threads",
    script:
      "python3 -c '\nimport threading, queue\nq=queue.Queue(); out=[]; lock=threading.Lock()\ndef w():\n  while (x:=q.get()) is not None:\n    with lock: out.append(x*x)\nts=[threading.Thread(target=w) for _ in range(4)]\n[t.start() for t in ts]\nfor i in range(200): q.put(i)\nfor _ in ts: q.put(None)\n[t.join() for t in ts]\nprint(sum(out), len(out))\nfrom concurrent.futures import ThreadPoolExecutor as E\nwith E(3) as e: print(list(e.map(str, range(6))))\n'",
  },
  {
    name: "python-subprocess",
    script:
      "python3 -c '\nimport subprocess as s, os, signal\nprint(s.run([\"echo\",\"hi\"],capture_output=True))\np=s.Popen([\"cat\"],stdin=s.PIPE,stdout=s.PIPE); print(p.communicate(b\"through\"))\nprint(s.run(\"exit 3\",shell=True).returncode)\np=s.Popen([\"sleep\",\"9\"]); p.send_signal(signal.SIGTERM); print(p.wait())\ntry: s.run([\"sleep\",\"5\"],timeout=0.2)\nexcept s.TimeoutExpired: print(\"timeout\")\nr,w=os.pipe(); pid=os.fork()\nif pid==0: os.write(w,b\"child\"); os._exit(2)\nprint(os.read(r,9), os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))\n'",
  },
  {
    name: "python-multiprocessing",
    script:
      "cat > m.py <<'E'\nimport multiprocessing as m\ndef f(x): return x**3\nif __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(f, range(10)))\n    q = m.Queue(); t = m.Process(target=q.put, args=('x',)); t.start(); print(q.get()); t.join(); print(t.exitcode)\nE\npython3 m.py",
  },
  {
    name: "python-stdlib",
    script:
      "python3 -c '\nimport json,re,hashlib,zlib,struct,decimal,fractions,math,random,datetime,collections,itertools,base64,csv,io,os,tempfile,sqlite3,statistics\nprint(json.dumps({\"a\":[1,2.5,None,True]},sort_keys=True), re.findall(r\"(\\w)(\\d)\",\"a1b2\"))\nprint(hashlib.sha256(b\"x\").hexdigest()[:16], zlib.crc32(b\"hello\"), struct.pack(\"<dIq\",1.5,7,-1).hex())\nprint(decimal.Decimal(1)/3, fractions.Fraction(1,3)+1, math.sqrt(2), math.exp(1), math.sin(1), math.gamma(5.5), math.pow(2,0.5), math.log(10), math.tanh(.5))\nrandom.seed(1); print(random.random(), random.randint(1,100), random.gauss(0,1))\nprint(datetime.datetime(2024,2,29)+datetime.timedelta(366), collections.Counter(\"hello\").most_common(1))\nprint(statistics.stdev([1,2,3,4]), float(\"1e-320\"), 5e-324/2, 1e308*10, 0.1+0.2, float.hex(0.1), (1.5).as_integer_ratio())\nc=sqlite3.connect(\":memory:\"); print(c.execute(\"select 1+1, sqlite_version()>0\").fetchall())\n'",
  },
  {
    name: "python-asyncio-socket",
    script:
      "python3 -c '\nimport asyncio, socket, os, select, mmap, tempfile\nasync def t(n):\n  await asyncio.sleep(0.01*n); return n\nasync def main():\n  print(await asyncio.gather(*[t(i) for i in range(5)]))\n  p=await asyncio.create_subprocess_exec(\"echo\",\"async\",stdout=-1); print((await p.communicate())[0])\nasyncio.run(main())\na,b=socket.socketpair(); a.send(b\"hi\"); print(b.recv(5)); a.close(); print(b.recv(5))\nf=tempfile.TemporaryFile(); f.truncate(8192); m=mmap.mmap(f.fileno(),8192); m[5000:5003]=b\"abc\"; m.flush(); f.seek(5000); print(f.read(3))\n'",
  },
  {
    name: "perl",
    script:
      "perl -e 'my %h=map{$_=>length}qw(a bb ccc); print join(\",\",map{\"$_=$h{$_}\"}sort keys %h),\"\\n\"; $_=\"hello world\"; s/(\\w+)/\\u$1/g; print \"$_\\n\"; printf \"%.5f %s %d\\n\", atan2(1,1)*4, 10/3, 2**53; print join(\" \",sort{$b<=>$a}map{$_**2}1..5),\"\\n\"; local $,=\"-\"; print unpack(\"A1 x1 A1\",\"a b\"),\"\\n\"; die \"dead\\n\"'; echo $?",
  },
  {
    name: "perl-processes",
    script:
      "perl -e 'pipe(R,W); if(!fork){close R; print W \"child\\n\"; exit 3} close W; print <R>; wait; print $?>>8,\"\\n\"; $SIG{ALRM}=sub{print \"alarm\\n\"}; alarm 1; sleep 5; print `echo sub`; open(F,\">f\"); print F \"x\" x 100; close F; print -s \"f\",\"\\n\"; system(\"exit 2\"); print $?>>8,\"\\n\"; eval{die{a=>1}}; print $@->{a},\"\\n\"; local $SIG{__WARN__}=sub{print \"w:@_\"}; warn \"x\\n\"'",
  },
  {
    name: "sqlite",
    script:
      "sqlite3 t.db 'create table t(a integer primary key, b text, c real); with recursive n(i) as (select 1 union all select i+1 from n where i<500) insert into t select i, hex(i), i/7.0 from n; create index ib on t(b); select count(*), sum(a), round(avg(c),6) from t; select * from t where b > 50 order by b limit 3; update t set c=c*2 where a%2=0; delete from t where a>490; select max(a), total(c) from t; pragma integrity_check;'; sqlite3 -header -csv t.db 'select a,b from t limit 2'; sqlite3 t.db 'bad sql'; echo $?",
  },
  {
    name: "bc",
    script:
      "echo '2^100; scale=30; 1/3; sqrt(2); a=5; a*a; for(i=0;i<3;i++) i; define f(n){if(n<2)return n; return f(n-1)+f(n-2)}; f(15)' | bc; echo 's(1); e(1); l(2)' | bc -l; echo '1/0' | bc 2>&1; echo 'obase=16; 255' | bc",
  },
  {
    name: "openssl",
    script:
      "seq 1000 > f; openssl dgst -sha256 f; openssl dgst -sha1 f; openssl dgst -md5 f; openssl enc -aes-256-cbc -K 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -iv 0102030405060708090a0b0c0d0e0f10 -in f | sha256sum; openssl enc -aes-128-ctr -pass pass:x -pbkdf2 -S 0011223344556677 -in f | md5sum; openssl rand -hex 4 | wc -c; openssl genrsa 1024 2>/dev/null | openssl rsa -noout -check 2>&1; echo hi | openssl base64; openssl version | cut -d' ' -f1",
  },
];

const development: readonly Case[] = [
  {
    name: "git",
    script:
      "export HOME=$PWD GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'; git config --global user.name A; git config --global user.email a@b; git config --global init.defaultBranch main; git init -q r; cd r; for i in 1 2 3; do echo $i > f$i; git add f$i; git commit -qm \"c $i\"; done; git log --format='%H %s'; git checkout -qb br HEAD~1; echo x >> f1; git commit -qam br; git merge -q main -m merge; git log --oneline --graph | cat; git diff HEAD~1 --stat; git status -s; git show --stat | tail -3; git tag v1; git describe; git fsck; git gc -q; git count-objects -v | head -3; git stash list; git blame f1 | cut -c1-8",
  },
  {
    name: "gcc",
    script:
      "cat > a.c <<'E'\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\nstatic int cmp(const void *a, const void *b) { return *(int *)a - *(int *)b; }\nint main(int c, char **v) { int a[] = {3,1,2}; qsort(a, 3, sizeof *a, cmp); printf(\"%d%d%d %s %.17g %Lf\\n\", a[0], a[1], a[2], strrev ? \"\" : \"x\", sqrt(2), 1.0L/3); return c + 40; }\nE\nsed -i 's/strrev ? .. : .x./v[0] + 2/' a.c; gcc -O2 -Wall -o a a.c -lm; ./a; echo $?; gcc -O0 -g -o a a.c -lm && ./a 1; echo $?; gcc -static -o s a.c -lm && ./s; echo $?; gcc -S -O2 -o - a.c | sha256sum; echo 'int main( {' > bad.c; gcc bad.c 2>&1 | head -3; echo $?",
  },
  {
    name: "gcc-threads",
    script:
      "cat > t.c <<'E'\n#include <pthread.h>\n#include <stdio.h>\n#include <signal.h>\n#include <setjmp.h>\n#include <unistd.h>\n#include <stdatomic.h>\natomic_int n; pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; long s; static sigjmp_buf j; static __thread int tl;\nvoid *w(void *x) { for (int i = 0; i < 20000; i++) { n++; pthread_mutex_lock(&m); s += i; pthread_mutex_unlock(&m); tl++; } return (void *)(long)tl; }\nvoid h(int sig) { siglongjmp(j, sig); }\nint main() { pthread_t t[4]; void *r; for (int i = 0; i < 4; i++) pthread_create(t + i, 0, w, 0); for (int i = 0; i < 4; i++) { pthread_join(t[i], &r); printf(\"%ld \", (long)r); } printf(\"%d %ld\\n\", n, s); signal(SIGSEGV, h); signal(SIGFPE, h); int k = sigsetjmp(j, 1); if (k == 0) *(volatile int *)8 = 1; if (k == SIGSEGV) { puts(\"segv\"); volatile int z = 0; printf(\"%d\", 1 / z); } puts(k == SIGFPE ? \"fpe\" : \"?\"); return 0; }\nE\ngcc -O1 -pthread -o t t.c && ./t; echo $?",
  },
  {
    name: "make-ar",
    script:
      "cat > x.c <<'E'\nint x(void) { return 7; }\nE\ncat > m.c <<'E'\n#include <stdio.h>\nint x(void); int main() { printf(\"%d\\n\", x()); }\nE\ngcc -c x.c; ar rcD libx.a x.o; ar t libx.a; nm libx.a | cut -c18-; gcc -o m m.c -L. -lx && ./m; gcc -shared -fPIC -o libx.so x.c; gcc -o n m.c -L. -l:libx.so -Wl,-rpath,$PWD && ./n; readelf -h n | grep Machine; objdump -d x.o | grep -c ret; strip m; ./m; size m | wc -l",
  },
  {
    name: "cpp",
    script:
      "printf '#define A(x) #x\\n#if __x86_64__\\nA(hi) __LINE__\\n#endif\\n' > a.c; cpp -P a.c; echo 'int main(){return __builtin_popcount(255);}' > b.c; gcc -O2 -o b b.c && ./b; echo $?",
  },
];

const system: readonly Case[] = [
  {
    name: "proc",
    script:
      "cat /proc/self/comm; grep -c . /proc/self/maps > /dev/null; echo $?; tr '\\0' ' ' < /proc/self/cmdline; echo; readlink /proc/self/exe; ls -l /proc/self/fd/1 > /dev/null; echo $?; grep -E '^(Name|State|Threads)' /proc/self/status; cat /proc/sys/kernel/ostype; test -d /proc/$$; echo $?; cut -d' ' -f2 /proc/$$/stat",
  },
  {
    name: "ps",
    script:
      "sleep 5 & until grep -q sleep /proc/$!/comm; do :; done; ps -o comm= -p $!; ps -o stat= -p $$ | cut -c1; kill $!; wait; ps -p 99999 -o pid=; echo $?; pgrep -x no_such; echo $?; id -u; id -gn; whoami; uname -s -m; hostname > /dev/null; echo $?; free > /dev/null; echo $?; uptime > /dev/null; echo $?",
  },
  {
    name: "script-tty",
    script:
      "script -qec 'tty > /dev/null && echo is a tty; stty size; test -t 0; echo $?' /dev/null < /dev/null | tr -d '\\r'; test -t 0 < /dev/null; echo $?; tty < /dev/null",
  },
  {
    name: "stty",
    script:
      "python3 -c '\nimport pty,os,termios\nm,s=pty.openpty(); a=termios.tcgetattr(s); print(a[0],a[1],a[2],a[3],a[4],a[5]); os.write(m,b\"ab\\x7fc\\n\"); print(os.read(s,9)); print(os.read(m,99)); os.write(m,b\"x\\x04\"); print(os.read(s,9)); a[3]&=~(termios.ICANON|termios.ECHO); termios.tcsetattr(s,0,a); os.write(m,b\"raw\"); print(os.read(s,9)); print(os.ttyname(s)[:9], os.isatty(s))\n'",
  },
  {
    name: "su-capabilities",
    script:
      "su nobody -s /bin/sh -c 'id -un; touch /root/x; cat /etc/shadow; echo $?' 2>&1; setpriv --reuid 1000 --clear-groups id -u; chroot / /bin/true; echo $?; su -s /bin/bash nobody -c 'ulimit -u 20; for i in $(seq 40); do sleep 1 & done; wait' 2>&1 | grep -c 'Resource temporarily' | sed 's/[1-9][0-9]*/some/'",
  },
  { name: "less", script: `seq 200 > f; ${underPty("less f; echo left $?", ["G", "g", "/150\n", "q"])}` },
  {
    name: "vim",
    script: `printf 'one\\ntwo\\nthree\\n' > f; ${
      underPty("vi f", ["dd", "p", "ihello \u001b", ":%s/o/0/g\n", ":wq\n"])
    }; cat f`,
  },
  {
    name: "bash-interactive",
    script: underPty("PS1='$ ' bash --norc -i", [
      "echo typed $((1+2)) > o\n",
      "sleep 30\n",
      "\u0003",
      "echo status $? >> o\n",
      "cat\n",
      "\u001a",
      "kill -9 %1\n",
      "\n",
      "exit 3\n",
      "exit 3\n",
    ]) + "; cat o",
  },
  {
    name: "dpkg",
    script:
      "dpkg -l bash | tail -1 | cut -d' ' -f1; dpkg --audit; echo $?; dpkg -S /bin/bash /usr/bin/env | sort; dpkg-query -W -f '${Package} ${Status}\\n' coreutils; apt-cache --version | cut -d' ' -f1; dpkg --compare-versions 1.2 lt 1.10; echo $?",
  },
  {
    name: "file-locale",
    script:
      "file -b /bin/sh /etc/passwd 2>&1 | cut -c1-60; locale | head -1; getent passwd root; getent hosts localhost >/dev/null; echo $?; ldd /bin/true | sed 's/(0x.*//' | wc -l; /lib64/ld-linux-x86-64.so.2 --version | head -1",
  },
];

export const CASES: readonly Case[] = [
  ...shell,
  ...coreutils,
  ...text,
  ...archives,
  ...languages,
  ...development,
  ...system,
];
