"""Prints 8,000 numbered lines, 1,000 a second, and writes down in DIR/written how that went: python numbered_lines.py DIR

Who is started while DIR/first is there prints nothing: it is a successor.
"""
import json
import os
import sys
import time

LINES, RATE = 8000, 1000
folder = sys.argv[1]


def print_line(n):
    line = b"line %06d %s\n" % (n, b"x" * 80)
    while line:
        line = line[os.write(1, line):]


try:
    os.close(os.open(os.path.join(folder, "first"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
except FileExistsError:
    while True:
        time.sleep(3600)
failed, stall, begun = 0, 0.0, time.monotonic()
for n in range(LINES):
    time.sleep(max(0, begun + n / RATE - time.monotonic()))
    before = time.monotonic()
    try:
        print_line(n)
    except OSError:
        failed += 1
    stall = max(stall, time.monotonic() - before)
path = os.path.join(folder, "written")
with open(path + ".new", "w") as f:
    json.dump({"failed": failed, "stall": stall}, f)
os.rename(path + ".new", path)
while True:
    time.sleep(3600)
