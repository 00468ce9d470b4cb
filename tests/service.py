"""Builds and starts the service for scripts, on an embedded database with demo data, without rate limits."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Ids of the demo data.
BUSINESS = "550e8400-e29b-41d4-a716-446655440099"
CUSTOMER = "550e8400-e29b-41d4-a716-446655440000"
PRODUCT = "650e8400-e29b-41d4-a716-446655440001"
# With the package `tests`, so that the dependencies have the same features as in `cargo test`.
BUILD = ["cargo", "build", "-q", "--locked", "-p", "tests", "-p", "tradeline", "--bin", "tradeline"]


class Service:
    """A running service with its data in this folder."""

    def __init__(self, folder):
        subprocess.run(BUILD, cwd=ROOT, check=True)
        self.program = TARGET / "debug" / "tradeline"
        ours = {name: value for name, value in os.environ.items()
                if not name.startswith(("TRADELINE_", "STRIPE_")) and name != "DATABASE_URL"}
        self.environment = {**ours, "TRADELINE_DATA_DIR": str(Path(folder, "data")), "RUST_LOG": "warn",
                            "TRADELINE_LISTEN": "127.0.0.1:0", "TRADELINE_RATE_LIMIT": "off"}
        self.process = subprocess.Popen([self.program], env=self.environment, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            self.stop()
            sys.exit(f"the service did not start: {line}")
        self.base = found.group()

    def token(self, role, more):
        command = [self.program, "token", "--role", role, "--seconds", "3600", *more]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout.strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
