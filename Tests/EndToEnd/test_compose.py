"""Compose files that say where their services run, through `lighter compose` and the real Compose."""

import json
import subprocess
import unittest
from pathlib import Path

from fixture import Case, PATIENCE, REPO, Terminal, environment, lighter_only, remote_only

CLIENTS = REPO / ".build" / "clients"  # where scripts/need puts Compose 2


def surroundings(host):
    """The environment in which Compose is found, that of scripts/need before the machine's own."""
    config = {"DOCKER_CONFIG": str(CLIENTS)} if (CLIENTS / "cli-plugins" / "docker-compose").exists() else {}
    return {**environment(host), **config}


def installed():
    """Whether there is a Compose for `lighter compose` to become."""
    for command in (["docker", "compose", "version"], ["docker-compose", "version"]):
        try:
            if subprocess.run(command, capture_output=True, env=surroundings("")).returncode == 0:
                return True
        except FileNotFoundError:
            pass
    return False


@lighter_only
class Compose(Case):
    @classmethod
    def setUpClass(cls):
        if not installed():
            raise unittest.SkipTest("neither `docker compose` nor docker-compose is installed")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.folder = self.scratch()

    def project(self, text, file="compose.yaml"):
        """Writes a Compose file; the project that it makes is gone at the test's end."""
        (self.folder / file).write_text(text)
        self.addCleanup(self.compose, "--file", self.folder / file, "down", "--timeout", "0", expect=None)

    def command(self, *args):
        program = Path(self.world.credentials).parents[2] / "bin" / "lighter"
        return [str(program), "compose", "--project-name", self.tag, *map(str, args)]

    def compose(self, *args, expect=0, input=None):
        done = subprocess.run(self.command(*args), cwd=self.folder, text=True, capture_output=True, input=input,
                              timeout=PATIENCE, env=surroundings(self.world.front_doors["edge1"]))
        if expect is not None and done.returncode != expect:
            self.fail(f"{args}: exit code {done.returncode}, not {expect}\n{done.stdout}\n{done.stderr}")
        return done

    def container(self, service):
        """The name of a service's one container, which Compose 1 and 2 spell differently."""
        names = self.docker("ps", "--all", "--format", "{{.Names}}",
                            "--filter", f"label=com.docker.compose.project={self.tag}",
                            "--filter", f"label=com.docker.compose.service={service}").out.split()
        self.assertEqual(len(names), 1, names)
        return names[0]

    @remote_only
    def test_services_run_where_the_file_says(self):
        self.project("""
            x-offload: {policy: local}
            x-common: &common
              image: busybox
              command: [sleep, "600"]
              network_mode: bridge
            services:
              near:
                <<: *common
              far:
                <<: *common
                x-offload: {policy: remote}
              named:
                <<: *common
                offload_policy: {target_node: cloud1, policy: remote}
              labelled:
                <<: *common
                labels: ["lighter.policy=local"]
                offload_policy: {policy: remote}
            """)
        self.compose("up", "--detach")
        for service, node in (("near", "edge1"), ("far", "cloud1"), ("named", "cloud1"), ("labelled", "edge1")):
            self.assert_at(node, self.container(service))
        self.compose("up", "--detach")
        self.compose("down", "--timeout", "0")
        self.assertEqual(self.docker("ps", "--all", "--quiet", "--filter",
                                     f"label=com.docker.compose.project={self.tag}").out, "")

    def test_relative_paths_begin_at_the_file(self):
        text = """
            services:
              reader:
                image: busybox
                command: cat /word
                network_mode: none
                volumes: ["./word:/word:ro"]
                offload_policy: {policy: remote}
            """
        self.project(text)
        (self.folder / "word").write_text(self.tag)
        (self.folder / "below").mkdir()
        for args in (["run", "--rm", "reader"], ["--file", self.folder / "compose.yaml", "run", "--rm", "reader"]):
            self.assertIn(self.tag, self.compose(*args).stdout)
        self.assertIn(self.tag, self.compose("--file", "-", "run", "--rm", "-T", "reader", input=text).stdout)

    def test_the_exit_code_is_the_services(self):
        self.project("""
            x-offload: {policy: remote}
            services: {job: {image: busybox, network_mode: none, command: [sh, -c, "exit 7"]}}
            """)
        self.compose("run", "--rm", "job", expect=7)

    @remote_only
    def test_an_interrupt_stops_what_runs_in_the_foreground(self):
        self.project("""
            services:
              job:
                image: busybox
                network_mode: none
                command: [sh, -c, "trap 'echo leaving; exit 0' INT TERM; echo begun; while :; do sleep 0.1; done"]
                offload_policy: {policy: remote}
            """)
        terminal = Terminal(self.command("--file", self.folder / "compose.yaml", "up"),
                            surroundings(self.world.front_doors["edge1"]), 24, 80)
        self.addCleanup(terminal.close)
        terminal.read_until("begun")
        self.assert_at("cloud1", self.container("job"))
        terminal.send("\x03")
        terminal.wait()
        self.assertEqual(self.state(self.container("job")), "exited")

    def test_a_bad_value_is_one_line_and_nothing_runs(self):
        self.project("services: {web: {image: busybox, offload_policy: {cpu_threshold: lots}}}")
        found = self.compose("up", "--detach", expect=1)
        self.assertEqual(len(found.stderr.strip().splitlines()), 1, found.stderr)
        for part in ("compose.yaml", "web", "cpu_threshold", "lots", "75%"):
            self.assertIn(part, found.stderr)

    def test_a_file_with_nothing_of_lighters_is_composes_alone(self):
        self.project("services: {job: {image: busybox, network_mode: none, command: [echo, hello]}}")
        self.assertIn("hello", self.compose("run", "--rm", "job").stdout)
        found = self.compose("--file", "gone.yaml", "ps", expect=None)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("gone.yaml", found.stderr)


@lighter_only
class Handover(Case):
    """What any Compose gets: here a program in its place that tells."""

    TELLTALE = """#!/usr/bin/python3
import json, os, sys
blocked = [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigBlk")]
files = os.environ.get("COMPOSE_FILE", "").split(":")
print(json.dumps({"arguments": sys.argv[1:], "blocked": int(blocked[0], 16), "host": os.environ.get("DOCKER_HOST"),
                  "texts": [open(f).read() for f in files + sys.argv if f.startswith("/proc/self/fd/")],
                  "input": sys.stdin.read()}))
"""

    def hand_over(self, text, *args, **env):
        folder = self.scratch()
        (folder / "docker-compose").write_text(self.TELLTALE)
        (folder / "docker-compose").chmod(0o755)
        (folder / "compose.yaml").write_text(text)
        program = Path(self.world.credentials).parents[2] / "bin" / "lighter"
        done = subprocess.run([program, "compose", *args], cwd=folder, text=True, capture_output=True, timeout=60,
                              input=text, env={"PATH": str(folder), "HOME": str(folder), **env})
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_signals_reach_compose(self):
        self.assertEqual(self.hand_over("services: {}", "up")["blocked"], 0)

    def test_arguments_and_input_are_passed_on_where_nothing_is_lighters(self):
        for args in (["-p", "x", "up", "-d"], ["-f", "-", "run", "--help"]):
            found = self.hand_over("services: {}", *args)
            self.assertEqual((found["arguments"], found["input"]), (args, "services: {}"))

    def test_what_is_lighters_goes_by_open_files(self):
        found = self.hand_over("services: {web: {offload_policy: {policy: local}}}", "up")
        self.assertEqual(found["arguments"][0], "--project-directory")
        self.assertEqual(found["arguments"][2:], ["up"])
        self.assertEqual(found["texts"][0], "services: {web: {x-offload-policy: {policy: local}}}")
        self.assertIn('"lighter.policy": "local"', found["texts"][1])

    def test_lighters_socket_is_used_unless_another_is_named(self):
        self.assertEqual(self.hand_over("", "ps", DOCKER_HOST="tcp://there")["host"], "tcp://there")
        if Path("/run/lighter/docker.sock").exists():
            self.assertEqual(self.hand_over("", "ps")["host"], "unix:///run/lighter/docker.sock")
        self.assertIsNone(self.hand_over("", "ps", DOCKER_CONTEXT="there")["host"])
