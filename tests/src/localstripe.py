"""Runs localstripe until its standard input ends, which is when its test has ended, however that was."""

import os
import socket
import sys
import threading

from aiohttp import web
from localstripe import resources, server

# All processes would write to the same file, which no test reads.
resources.Store.dump_to_disk = lambda store: None


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
web.run_app(server.app, sock=listening, print=None)
