#!/usr/bin/env python3
"""Looks at the status page with Chromium, as somebody would who was woken up: without JavaScript and with it, in both colour
schemes, with a keyboard, and with the ears of a screen reader. `make page-check` runs it.

    look.py [--pictures DIR] -- COMMAND...    COMMAND serves the page, prints its address, and ends with its standard input
"""

import argparse
import base64
import collections
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

# What everybody has to find, whatever the browser can do.
ESSENTIALS = ["Working, ", " of backlog", "000017-b83c4ae7fa93", "64 of 100", "sink_unavailable", "no signature", "this worker alone"]

# A hostile name of an object, as a person has to see it.
HOSTILE = '"><img src=x onerror=alert(1)><script>document.title=\'stolen\'</script>.csv'


class Refused(Exception):
    """The browser does not do what it was asked for."""


class Browser:
    """Chromium, by its own protocol over two pipes."""

    def __init__(self, folder):
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()
        # Where the protocol wants them.
        command = f"exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run --disable-lcd-text " \
                  f"--user-data-dir={folder} --remote-debugging-pipe 3<&{to_browser} 4>&{from_browser}"
        self.process = subprocess.Popen(["sh", "-c", command], pass_fds=[to_browser, from_browser], stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.to, self.answers = os.fdopen(ours, "wb", 0), os.fdopen(theirs, "rb", 0)
        self.number, self.rest, self.events = 0, b"", []

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self.to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def next(self):
        while b"\0" not in self.rest:
            more = os.read(self.answers.fileno(), 1 << 16)
            if not more:
                sys.exit("page-check: chromium has ended")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def close(self):
        self.call("Browser.close")
        self.process.wait(20)


class Page:
    """One tab."""

    def __init__(self, browser, url, javascript=True, scheme="light"):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "DOM", "Accessibility"]:
            self.call(f"{domain}.enable")
        if not javascript:
            self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=1100, height=1000, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.until(lambda: "</footer>" in self.html(), "the page is not there")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def html(self):
        try:
            root = self.call("DOM.getDocument", depth=0)["root"]
            return self.call("DOM.getOuterHTML", nodeId=root["nodeId"])["outerHTML"]
        except Refused:
            return ""  # it is being loaded

    def ask(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def nodes(self):
        """What a screen reader is told: roles, names and properties."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        value = lambda node, key: node.get(key, {}).get("value")
        return [(value(node, "role"), value(node, "name") or "") for node in nodes if not node.get("ignored")]

    def until(self, holds, otherwise, patience=15):
        end = time.monotonic() + patience
        while not holds():
            if time.monotonic() > end:
                sys.exit(f"page-check: {otherwise}")
            time.sleep(0.1)

    def complaints(self):
        """What is on the console: messages, errors, violations of the page's own policy."""
        self.ask("0")
        of_console = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]
        return [event for event in self.browser.events if event["method"] in of_console and event.get("sessionId") == self.session]

    def picture(self):
        self.call("Emulation.setDeviceMetricsOverride", width=1000, height=860, deviceScaleFactor=1, mobile=False)
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


def packed(png):
    """The same picture in a quarter of the bytes: with a palette, of colours that are near enough."""
    chunks, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at:at + 4])
        chunks.append((png[at + 4:at + 8], png[at + 8:at + 8 + length]))
        at += length + 12
    width, height, depth, colours = struct.unpack(">IIBB", chunks[0][1][:10])
    assert (depth, colours) == (8, 2), "the browser makes pictures of another kind"
    raw, size = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 3 * width
    above, lines = bytearray(size), []
    for start in range(0, len(raw), size + 1):
        how, line = raw[start], bytearray(raw[start + 1:start + 1 + size])
        for x in range(size if how else 0):
            left, up, corner = (line[x - 3], above[x], above[x - 3]) if x >= 3 else (0, above[x], 0)
            nearest = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
            line[x] = (line[x] + [0, left, up, (left + up) // 2, nearest][how]) & 255
        above = line
        lines.append([bytes(line[x:x + 3]) for x in range(0, size, 3)])
    counted = collections.Counter(colour for line in lines for colour in line)
    palette = [colour for colour, _ in counted.most_common(256)]
    distance = lambda one, other: sum((a - b) ** 2 for a, b in zip(one, other))
    place = {colour: number for number, colour in enumerate(palette)}
    for colour in counted:
        if colour not in place:
            place[colour] = min(range(len(palette)), key=lambda number: distance(palette[number], colour))
    lines = [b"\0" + bytes(map(place.get, line)) for line in lines]
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    smaller = [(b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b"")]
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:8] + b"".join(chunk(kind, data) for kind, data in smaller)


def check(holds, what):
    if not holds:
        sys.exit(f"page-check: not so: {what}")
    print(f"  {what}")


def looked(html):
    """How often the worker was asked, as far as the page knows: it shows a version more each time."""
    return max((int(number) for number in re.findall(r"1\.4\.(\d+)", html.partition('id="datasets"')[2])), default=0)


def without_javascript(browser, url):
    page = Page(browser, url, javascript=False)
    html = page.html()
    missing = [text for text in ESSENTIALS if text not in html]
    check(not missing, f"without JavaScript everything is there{missing or ''}")
    # The elements of <noscript> are elements only then.
    check('<meta http-equiv="refresh" content="5">' in html, "and the browser is told to load it again")
    first = looked(html)
    page.until(lambda: looked(page.html()) > first, "without JavaScript it is not loaded again")
    check(True, "and does so")


def with_javascript(browser, url):
    page = Page(browser, url)
    html = page.html()
    check(all(text in html for text in ESSENTIALS), "with JavaScript everything is there")
    first = looked(html)
    # Somebody reads the table of batches with the keyboard.
    page.ask("document.querySelector('#batches').closest('[tabindex]').focus(); window.same = document.activeElement; 0")
    page.until(lambda: looked(page.html()) >= first + 2, "with JavaScript it is not kept up to date")
    check(page.ask("document.activeElement === window.same"), "it keeps itself up to date, and the focus where it is")
    check(page.ask("document.getElementById('lost').hidden"), "a worker that answers is not said to be lost")
    check(page.ask("document.title").startswith("Working, "), "nobody stole its title")
    check(page.ask("document.images.length + document.scripts.length") == 1, "a stranger's markup is no markup")
    check(HOSTILE in page.ask("document.querySelector('#failures').innerText"), "it is shown as it was written")
    check(page.ask("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the window")
    complaints = page.complaints()
    check(not complaints, f"the console is silent{complaints or ''}")
    page.ask("document.querySelector('footer a').click(); 0")
    page.until(lambda: "Resume updates" in page.html(), "updates cannot be paused")
    still = looked(page.html())
    time.sleep(5)
    check(looked(page.html()) == still, "a page that pauses stays as it is")
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    check(page.ask("document.documentElement.scrollWidth <= 360"), "on a telephone nothing is wider than the window either")


def with_a_screen_reader(browser, url):
    page = Page(browser, f"{url}?pause")
    check(page.ask("document.documentElement.lang") == "en", "the page says which language it is in")
    nodes = page.nodes()
    named = lambda role: [name for found, name in nodes if found == role]
    for landmark in ["banner", "main", "contentinfo"]:
        check(len(named(landmark)) == 1, f"there is one landmark `{landmark}`")
    tables = named("table")
    check(len(tables) == 4 and all(tables), f"every table has a name: {', '.join(tables)}")
    headers = named("columnheader")
    check(len(headers) >= 20 and all(headers), f"{len(headers)} columns have names")
    check(len(named("rowheader")) >= 6 and all(named("rowheader")), "rows have names")
    unnamed = [role for role, name in nodes if role in ["link", "button", "heading", "region", "group"] and not name]
    check(not unnamed, f"nothing that can be gone to is without a name{unnamed or ''}")
    headings = page.ask("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName).join(' ')")
    check(re.fullmatch(r"H1( H2)+", headings), f"headings are in order: {headings}")


def in_both_schemes(browser, url, pictures):
    grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}
    taken = {}
    for scheme, ground in grounds.items():
        page = Page(browser, f"{url}?pause", scheme=scheme)
        check(page.ask("getComputedStyle(document.body).backgroundColor") == ground, f"it is {scheme} in a {scheme} scheme")
        if pictures:
            taken[scheme] = page.picture()
    for scheme, picture in taken.items():
        picture = packed(picture)
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / f"status-page-{scheme}.png").write_bytes(picture)
        check(len(picture) < 100_000, f"its {scheme} picture has {len(picture):,} bytes")


def when_the_worker_has_ended(page):
    page.until(lambda: not page.ask("document.getElementById('lost').hidden"), "a worker that is gone is not said to be")
    check(page.ask("document.title").startswith("No answer: "), "a page whose worker has ended says so")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pictures", type=Path)
    arguments.add_argument("command", nargs="+")
    arguments = arguments.parse_args()
    server = subprocess.Popen(arguments.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = next((found[0] for line in server.stdout if (found := re.search(r"http://\S+/", line))), None)
    if not url:
        sys.exit("page-check: nobody serves the page")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            print(f"the status page in {browser.call('Browser.getVersion')['product']}:")
            without_javascript(browser, url)
            with_javascript(browser, url)
            with_a_screen_reader(browser, url)
            in_both_schemes(browser, url, arguments.pictures)
            left = Page(browser, url)
            server.stdin.close()
            server.wait(20)
            when_the_worker_has_ended(left)
        finally:
            server.kill()
            browser.process.terminate() if sys.exc_info()[0] else browser.close()


if __name__ == "__main__":
    main()
