# SPDX-License-Identifier: Apache-2.0
"""A pool of four processes, which the parent forks."""
import multiprocessing


def squares(count):
    return sum(i * i % 7 for i in range(count))


if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool:
        print(sum(pool.map(squares, [60000] * 8)))
