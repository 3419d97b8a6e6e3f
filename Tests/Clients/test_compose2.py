"""Compose 2, the docker client's plugin."""

import json
import time

from clientcase import eventually
from composecase import WEB, ComposeCase, Files, Stack

COMPOSE = ("docker", "compose")


class Compose2Stack(Stack, ComposeCase):
    command, is_2 = COMPOSE, True

    def test_ls_and_ps_as_json(self):
        found = json.loads(self.compose("ls", "--format", "json").stdout)
        self.assertIn(self.tag, {p["Name"] for p in found})
        found = [json.loads(line) for line in self.compose("ps", "--format", "json").stdout.splitlines()]
        self.assertEqual({p["Service"]: p["Health"] for p in found}, {"db": "healthy", "web": ""})
        self.assertEqual([p["Publishers"][0]["TargetPort"] for p in found if p["Service"] == "web"], [8080])

    def test_cp_both_ways(self):
        self.compose("cp", "db.py", "web:/tmp/copied")
        self.assertIn("db is ready", self.compose("exec", "-T", "web", "cat", "/tmp/copied").stdout)
        self.compose("cp", "web:/app/page", "back")
        self.assertEqual((self.project / "back").read_text(), "first page\n")

    def test_events_as_json(self):
        events = self.begin("events", "--json")
        for _ in range(3):
            self.compose("restart", "-t", "0", "web")
        events.terminate()
        said, _ = events.communicate(timeout=30)
        found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        self.assertIn(("web", "restart"), {(e["service"], e["action"]) for e in found})

    def test_wait_and_stats(self):
        waiting = self.begin("wait", "web")
        time.sleep(2)  # It says nothing when it waits, and finds no container that has ended before.
        self.compose("kill", "web")
        waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 137)
        self.assertIn("db", self.compose("stats", "--no-stream", "db").stdout)


class Compose2Files(Files, ComposeCase):
    command, is_2 = COMPOSE, True

    def test_up_waits_until_all_are_healthy(self):
        self.write("""
            services:
              slow:
                image: busybox
                command: sh -c "sleep 2; touch /tmp/up; exec sleep 600"
                healthcheck: {test: [CMD, test, -e, /tmp/up], interval: 500ms, retries: 60}
                stop_grace_period: 0s
            """)
        self.up("--wait")
        self.assertEqual(self.one("slow").health, "healthy")

    def test_up_fails_when_one_turns_unhealthy(self):
        self.write("""
            services:
              bad:
                image: busybox
                command: sleep 600
                healthcheck: {test: [CMD, "false"], interval: 300ms, retries: 2}
                stop_grace_period: 0s
            """)
        found = self.up("--wait", expect=1)
        self.assertIn("unhealthy", found.stderr)

    def test_a_service_that_must_complete_first(self):
        self.write("""
            services:
              setup: {image: busybox, command: sh -c "sleep 1; echo set > /d/x", volumes: [data:/d]}
              main:
                image: busybox
                command: cat /d/x
                volumes: [data:/d]
                depends_on: {setup: {condition: service_completed_successfully}}
            volumes: {data: {}}
            """)
        self.up()
        eventually("its output", lambda: self.one("main").logs() == b"set\n")

    def test_configs_from_a_file_and_inline(self):
        self.write("from a file\n", "a.conf")
        self.write("""
            services:
              main:
                image: busybox
                command: cat /etc/a.conf /inline
                configs: [{source: a, target: /etc/a.conf}, {source: inline, target: /inline}]
            configs:
              a: {file: ./a.conf}
              inline: {content: "inline\\n"}
            """)
        self.up()
        eventually("its output", lambda: self.one("main").logs() == b"from a file\ninline\n")

    def test_watch_copies_edited_files_into_the_container(self):
        self.write("FROM testbed/python\nCOPY . /app/\nCMD sleep 600\n", "app/Dockerfile")
        self.write(WEB, "app/web.py")
        self.write("first\n", "app/page")
        self.write("""
            services:
              web:
                image: %s-built
                build: app
                stop_grace_period: 0s
                develop:
                  watch: [{action: sync, path: ./app, target: /app}]
            """ % self.tag)
        self.gone(self.client.images.remove, f"{self.tag}-built", force=True)
        self.up("--build")
        watching = self.begin("watch", "--no-up")
        for line in watching.stdout:
            if "atch" in line:
                break
        self.write("second\n", "app/page")
        eventually("the new page", lambda: self.one("web").exec_run("cat /app/page").output == b"second\n", 30)
        watching.terminate()

    def test_build_with_a_secret_and_a_target(self):
        self.write("FROM busybox AS first\nRUN --mount=type=secret,id=word cat /run/secrets/word > /word\nCMD cat /word\n"
                   "FROM busybox\nRUN exit 1\n", "Dockerfile")
        self.write("hidden\n", "word.txt")
        self.write("""
            services:
              main:
                image: %s-built
                build: {context: ., target: first, secrets: [word]}
            secrets:
              word: {file: ./word.txt}
            """ % self.tag)
        self.gone(self.client.images.remove, f"{self.tag}-built", force=True)
        self.compose("build")
        self.assert_built_away(f"{self.tag}-built")
        self.up()
        eventually("its output", lambda: self.one("main").logs() == b"hidden\n")

    def test_a_dry_run_makes_nothing(self):
        self.write("services: {main: {image: busybox, command: sleep 600}}\n")
        self.compose("--dry-run", "up", "-d")
        self.assertEqual(self.containers(all=True), [])

    def test_services_extend_and_include_others(self):
        self.write("services: {base: {image: busybox, environment: {A: base}, command: [sh, -c, 'echo $$A $$B']}}\n",
                   "base.yml")
        self.write("services: {side: {image: busybox, command: echo side}}\n", "side.yml")
        self.write("""
            include: [side.yml]
            services:
              main: {extends: {file: base.yml, service: base}, environment: {B: more}}
            """)
        self.up()
        eventually("its output", lambda: self.one("main").logs() == b"base more\n")
        eventually("the other's", lambda: self.one("side").logs() == b"side\n")
