"""The common parts of the benches: the programs, a PostgreSQL server, and processes of the service."""

import glob
import http.client
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUSINESS = "00000000-0000-7000-8000-000000000000"
SECRET = "the secret of a benchmark is known to everyone"
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def need(program, package):
    if not shutil.which(program):
        install(program, package)


def install(what, package):
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"{what} is missing: install {package}")
    subprocess.run(["apt-get", "update"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def server_programs():
    """The folder of PostgreSQL's server programs. All are required, since the client package has some of them."""
    if not (folder := server_folder()):
        install("PostgreSQL's server", "postgresql")
        folder = server_folder()
    return folder or sys.exit("no folder has postgres, initdb, pg_ctl, pgbench and psql, though postgresql is installed")


def server_folder():
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(path.split("/")[4]))
    folders += glob.glob("/usr/pgsql-*/bin") + os.environ["PATH"].split(":")
    for folder in folders:
        if all(Path(folder, name).exists() for name in ("postgres", "initdb", "pg_ctl", "pgbench", "psql")):
            return Path(folder)
    return None


class Postgres:
    """A PostgreSQL server in a temporary folder, reachable through a socket in it."""

    def __init__(self):
        self.bin = server_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="tradeline-bench-"))
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        shutil.chown(self.folder, self.user)
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.as_server("initdb", "-D", self.data, "--auth=trust", "--username=postgres", "--encoding=UTF8",
                       "--locale=C.UTF-8")
        self.start()

    def as_server(self, program, *arguments):
        subprocess.run([self.bin / program, *arguments], check=True, user=self.user if os.geteuid() == 0 else None,
                       cwd="/", stdout=subprocess.DEVNULL)

    def start(self):
        # Memory for five million orders and rare checkpoints, equal for both sides. Durability has its default.
        settings = ("-c listen_addresses= -c max_connections=200 -c shared_buffers=2GB -c max_wal_size=8GB "
                    f"-c log_lock_waits=on -c log_line_prefix='%m %d ' -k {self.folder}")
        self.as_server("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-o", settings, "start")

    def stop(self):
        self.as_server("pg_ctl", "-D", self.data, "-m", "fast", "stop")
        shutil.rmtree(self.folder)

    def url(self, role, database):
        return f"postgres://{role}@localhost/{database}?host={str(self.folder).replace('/', '%2F')}"

    def psql(self, database, sql=None, file=None, role="postgres", **variables):
        command = [self.bin / "psql", self.url(role, database), "-qXAt", "-v", "ON_ERROR_STOP=1"]
        for name, value in variables.items():
            command += ["-v", f"{name}={value}"]
        command += ["-f", str(file)] if file else ["-c", sql]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"psql failed: {sql or file}")
        return done.stdout.strip()

    def cpu_seconds(self):
        """CPU seconds of all running server processes, and of ended ones that the postmaster has reaped."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        total = sum(cpu_seconds(postmaster, with_children=True))
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = Path(path).read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == postmaster:
                total += (int(fields[11]) + int(fields[12])) / TICKS
        return total

    def warm(self):
        """Fills the server's log files, which it then reuses. A new file would stop every session for about 50 ms."""
        for _ in range(2):
            self.psql("postgres", "SELECT count(pg_logical_emit_message(false, 'warm', repeat('x', 1048576)))"
                                  " FROM generate_series(1, 3000)")
            self.psql("postgres", "CHECKPOINT")

    def deadlocks(self, database):
        return self.log.read_text(errors="replace").count(f" {database} ERROR:  deadlock detected")


class ForReads(Postgres):
    """A server without fsync, for benches that measure reads only."""

    def start(self):
        settings = ("-c listen_addresses= -c max_connections=50 -c shared_buffers=2GB -c max_wal_size=1GB -c fsync=off "
                    f"-c maintenance_work_mem=256MB -k {self.folder}")
        self.as_server("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-o", settings, "start")


def cpu_seconds(pid, with_children=False):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / TICKS
    return (own, (int(fields[13]) + int(fields[14])) / TICKS) if with_children else own


def write_section(title, body):
    """Writes a section of README.md in place of an earlier one with the title, or at the end."""
    readme = HERE / "README.md"
    before, _, earlier = readme.read_text().partition(f"## {title}\n")
    _, mark, after = earlier.partition("\n## ")
    readme.write_text(f"{before.rstrip()}\n\n## {title}\n\n{body}" + (f"\n## {after}" if mark else ""))


def pace():
    """Seconds for five million additions: the machine's current speed, by which to read the milliseconds."""
    started, total = time.perf_counter(), 0
    for number in range(5_000_000):
        total += number
    return time.perf_counter() - started


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "127.0.0.1:%d" % listener.getsockname()[1]


class Service:
    """One process of the service."""

    running = []

    def __init__(self, program, url, listen="127.0.0.1:0", **settings):
        self.listen = listen
        environment = {**os.environ, "DATABASE_URL": url, "TRADELINE_JWT_SECRET": SECRET,
                       "TRADELINE_LISTEN": listen, "TRADELINE_LOG": "json", "RUST_LOG": "warn",
                       "TRADELINE_RATE_LIMIT": "off", **settings}
        self.process = subprocess.Popen([program], env=environment, stdout=subprocess.PIPE, text=True)
        Service.running.append(self)
        line = self.process.stdout.readline()
        found = re.search(r"http://[\w.:\[\]]+", line)
        if not found:
            sys.exit(f"the service did not start: {line}")
        self.base = found.group()

    def memory_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit("the service did not stop well")


class Client:
    """One persistent connection."""

    def __init__(self, base, token):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc)
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path, accept="application/json"):
        """The response and its time in milliseconds."""
        started = time.perf_counter()
        self.connection.request("GET", path, headers={**self.headers, "Accept": accept})
        response = self.connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - started) * 1000
        if response.status != 200:
            sys.exit(f"{path}: {response.status} {body[:500]}")
        return body, took

    def warm(self, path, times):
        """The median and the maximum of several times."""
        for _ in range(5):
            self.get(path)
        took = sorted(self.get(path)[1] for _ in range(times))
        return statistics.median(took), took[-1]

    def pages(self, path, count):
        """The time of each page, and the number of rows."""
        cursor, took, rows = None, [], 0
        while len(took) < count:
            mark = "&" if "?" in path else "?"
            body, each = self.get(path + (f"{mark}cursor={cursor}" if cursor else ""))
            page = json.loads(body)
            took.append(each)
            rows += len(page["data"])
            cursor = page["next_cursor"]
            if not cursor:
                break
        return took, rows


class Stand:
    """The built programs, a server, a token of the bench business, and databases with that business."""

    server = Postgres

    def __init__(self, smoke, *more):
        """Builds the service, the migration program and the targets in `more`; in a debug build for a smoke test."""
        profile = "dev" if smoke else "release"
        say(f"building ({profile})")
        build = ["cargo", "build", "-q", "--locked", "--profile", profile]
        selections = (["-p", "tradeline", "-p", "migration", "--bins"], *more)
        if smoke:
            # In one command with the package `tests`, so that the dependencies have the same features as in `cargo test`.
            # A release build has the shipped features.
            selections = (["-p", "tests", *itertools.chain(*selections)],)
        for selection in selections:
            subprocess.run([*build, *selection], cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        self.programs = target / ("debug" if smoke else "release")
        self.token = subprocess.run(
            [self.programs / "tradeline", "token", "--business", BUSINESS, "--role", "staff", "--seconds", "86400"],
            env={**os.environ, "TRADELINE_JWT_SECRET": SECRET}, check=True, capture_output=True, text=True,
        ).stdout.strip()
        # Last, so that an earlier failure leaves no server running.
        self.postgres = self.server()

    def make(self, database, customers, products):
        """A migrated database with the bench business."""
        postgres = self.postgres
        if not postgres.psql("postgres", "SELECT 1 FROM pg_roles WHERE rolname = 'tradeline_owner'"):
            postgres.psql("postgres", "CREATE ROLE tradeline_owner LOGIN")
            postgres.psql("postgres", "CREATE ROLE tradeline_service LOGIN")
        postgres.psql("postgres", f"CREATE DATABASE {database} OWNER tradeline_owner")
        subprocess.run([self.programs / "migration", "up"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "DATABASE_URL": postgres.url("tradeline_owner", database)})
        postgres.psql(database, file=HERE / "data.sql", role="tradeline_owner", customers=customers, products=products)
