"""The figures of the ledgers against a bare etcd, and of several gateways on one."""

import os
import re
import shutil
import subprocess
import time

from bed import FLEET, SCRATCH, Trouble, fleet, need
from figures import DEVICE, Figure, built, median

PORT = 23790


def ycsb(quick):
    """YCSB's workload A, 32 threads: the ledger in SQLite and in etcd, against etcd bare."""
    bench, etcd = built("YCSBBench"), need("etcd", "etcd-server")
    rates = {"SQLite": [], "etcd, ours": [], "etcd, bare": []}
    for _ in range(1 if quick else 5):
        folder = SCRATCH / "etcd"
        shutil.rmtree(folder, ignore_errors=True)
        client, peer = (f"http://127.0.0.1:{port}" for port in (PORT, PORT + 1))
        with open(SCRATCH / "etcd.log", "wb") as log:
            server = subprocess.Popen(
                [etcd, "--data-dir", folder, "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                 f"default={peer}", "--log-level", "warn"], stdout=log, stderr=log)
        try:
            time.sleep(2)
            run = subprocess.run([bench, str(SCRATCH), "2" if quick else "5", f"etcd://127.0.0.1:{PORT}"], text=True,
                                 capture_output=True)
            if run.returncode:
                raise Trouble(f"YCSBBench: {(run.stderr.strip().splitlines() or ['failed'])[-1]}")
            for name, rate in re.findall(r"^(.+): (\d+) operations/s", run.stdout, re.M):
                rates[name].append(float(rate))
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)
    return [Figure(
        f"YCSB workload A on the ledger, 32 threads: {name}", "etcd, bare: the same record, read and put",
        f"{median(rates[name]):,.0f}/s against {median(rates['etcd, bare']):,.0f}/s",
        median(rates[name]) / median(rates["etcd, bare"]), least=1, aim=2, higher=True, samples=rates)
        for name in ("SQLite", "etcd, ours")]


def cli(*arguments):
    return subprocess.run([FLEET, "cli", *arguments], text=True, capture_output=True, timeout=30)


def leader(quick):
    """Two gateways on etcd: from the leader's kill until the other answers."""
    need("etcd", "etcd-server")
    places = ("agateway", "bgateway")
    fleet("down")
    fleet("up", "--policy", "remote", "--etcd", DEVICE, *places)
    found = dict(re.findall(r"^export (\w+)=(.*)$", fleet("env", DEVICE), re.M))
    addresses = dict(zip(places, found["LIGHTER_GATEWAY"].split(",")))
    samples = {"seconds": []}
    for _ in range(3 if quick else 10):
        leads = next((p for p in places if not cli("nodes", "--gateway", addresses[p]).returncode), None)
        if not leads:
            raise Trouble("no gateway leads")
        other = next(p for p in places if p != leads)
        process = int(fleet("pid", "gateway" if leads == places[0] else leads))
        began = time.monotonic()
        os.kill(process, 9)
        while cli("nodes", "--gateway", addresses[other]).returncode:
            if time.monotonic() - began > 60:
                raise Trouble("the other gateway did not lead within 60 s")
        samples["seconds"].append(time.monotonic() - began)
        fleet("gateway", "start", leads)
        time.sleep(2)
    own = median(samples["seconds"])
    return [Figure(
        "a gateway that leads is killed: until the next answers", "none: absolute",
        f"{own:.2f} s, at most {max(samples['seconds']):.2f} s", own, unit="s", least=5, aim=2, samples=samples)]


FIGURES = {"ycsb": ycsb, "leader": leader}
