"""Compose files that say where their services run, through `lighter compose` and the real Compose."""

import subprocess
import unittest
from pathlib import Path

from fixture import Case, PATIENCE, Terminal, environment, lighter_only


def installed():
    """Whether there is a Compose for `lighter compose` to become."""
    for command in (["docker", "compose", "version"], ["docker-compose", "version"]):
        try:
            if subprocess.run(command, capture_output=True, env=environment("")).returncode == 0:
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
                              timeout=PATIENCE, env=environment(self.world.front_doors["edge1"]))
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
                            environment(self.world.front_doors["edge1"]), 24, 80)
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
