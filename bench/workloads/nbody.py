# SPDX-License-Identifier: Apache-2.0
# pure-python n-body plus dict/string work; argv[1] = steps
import sys
def nbody(n):
    b = [[0, 0, 0, 0, 0, 0, 39.47], [4.84, -1.16, -.10, .6, 2.8, -.02, .037], [8.34, 4.12, -.4, -1.01, 1.8, .008, .011],
         [12.89, -15.11, -.22, 1.08, .86, -.01, .0017], [15.37, -25.9, .179, .979, .594, -.034, .002]]
    pairs = [(b[i], b[j]) for i in range(5) for j in range(i + 1, 5)]
    for _ in range(n):
        for p, q in pairs:
            dx = p[0] - q[0]; dy = p[1] - q[1]; dz = p[2] - q[2]
            m = .001 * (dx * dx + dy * dy + dz * dz) ** -1.5
            a = p[6] * m; c = q[6] * m
            p[3] -= dx * c; p[4] -= dy * c; p[5] -= dz * c
            q[3] += dx * a; q[4] += dy * a; q[5] += dz * a
        for r in b:
            r[0] += .001 * r[3]; r[1] += .001 * r[4]; r[2] += .001 * r[5]
    return b[0][0]
def words(n):
    d = {}
    for i in range(n):
        k = "k%d" % (i * 7919 % 5003)
        d[k] = d.get(k, 0) + len(k)
    return sum(d.values())
n = int(sys.argv[1])
print("%.9f" % nbody(n), words(n * 5))
