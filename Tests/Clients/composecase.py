"""What both Composes must do; each runs these tests by its own command."""

import os
import subprocess
import textwrap

from clientcase import Case, eventually, ran

# A store of words by key, kept in /data, spoken to in lines: `put KEY WORD`, `get KEY`.
DB = """
import os, socketserver, sys
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            verb, key, *word = line.decode().split()
            path = f"/data/{key}"
            if verb == "put":
                open(path, "w").write(word[0])
            said = open(path).read() if os.path.exists(path) else "-"
            self.wfile.write(said.encode() + b"\\n")
with socketserver.ThreadingTCPServer(("", 9000), Lines) as server:
    open("/tmp/ready", "w").close()
    print("db is ready", flush=True)
    server.serve_forever()
"""
# Passes paths on to the store as lines; / tells of itself.
WEB = """
import http.server, os, socket
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            said = os.environ.get("GREETING", "") + " " + open("/app/page").read().strip()
        else:
            with socket.create_connection(("db", 9000), 10) as db:
                db.sendall(self.path.strip("/").replace("/", " ").encode() + b"\\n")
                said = db.makefile().readline().strip()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
        print("asked for", self.path, flush=True)
    def log_message(self, *args):
        pass
socket.create_connection(("db", 9000), 10).close()
print("web found its db", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Web).serve_forever()
"""
STACK = """
services:
  db:
    image: testbed/python
    command: python3 /srv/db.py
    volumes: [data:/data, ./db.py:/srv/db.py:ro]
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 1s, retries: 30}
    stop_grace_period: 0s
  web:
    image: testbed/python
    command: python3 /app/web.py
    environment:
      GREETING: ${GREETING:-hello}
    ports: ["8080"]
    volumes: [./app:/app]
    depends_on:
      db: {condition: service_healthy}
    stop_grace_period: 0s
volumes:
  data:
"""


class ComposeCase(Case):
    """A project in a folder of its own, taken down at the end."""

    command = ()

    def setUp(self):
        super().setUp()
        self.project = self.folder()
        self.files = []

    def write(self, text, name="docker-compose.yml"):
        path = self.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def stack(self):
        self.write(STACK)
        self.write(DB, "db.py")
        self.write(WEB, "app/web.py")
        self.write("first page\n", "app/page")

    def line(self, *args):
        return [*self.command, "-p", self.tag, *args]

    def compose(self, *args, expect=0, env=(), **options):
        """Runs Compose to its end."""
        return ran(self.line(*args), expect, cwd=self.project, env=self.environment(env), **options)

    def environment(self, more=()):
        return {**os.environ, **dict(more)}

    def begin(self, *args, env=()):
        """Runs Compose beside the test."""
        process = subprocess.Popen(self.line(*args), cwd=self.project, env=self.environment(env), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def up(self, *args, **options):
        self.addCleanup(self.compose, "--profile", "*" if self.is_2 else "tools", "down", "-v", "--remove-orphans",
                        "-t", "0", expect=None)
        return self.compose("up", "-d", *args, **options)

    is_2 = False

    def containers(self, service=None, **options):
        """The project's containers, by docker-py."""
        labels = [f"com.docker.compose.project={self.tag}"]
        if service:
            labels.append(f"com.docker.compose.service={service}")
        return self.client.containers.list(filters={"label": labels}, **options)

    def one(self, service):
        found = self.containers(service, all=True)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def port(self, service="web", inside=8080):
        return self.compose("port", service, str(inside)).stdout.strip().rpartition(":")[2]

    def ask(self, path="/"):
        return self.fetch(self.port(), path)


class Stack:
    """A web server and its database."""

    def setUp(self):
        super().setUp()
        self.stack()
        self.up()

    def test_the_web_server_reaches_its_database_by_name(self):
        self.assertEqual(self.ask(), "hello first page")
        self.assertEqual(self.ask("/put/key/word"), "word")
        self.assertEqual(self.ask("/get/key"), "word")
        for service in ("web", "db"):
            self.assert_away(self.one(service))

    def test_it_starts_only_once_its_database_is_healthy(self):
        db, web = self.one("db").attrs, self.one("web").attrs
        self.assertEqual(db["State"]["Health"]["Status"], "healthy")
        self.assertGreater(web["State"]["StartedAt"], db["State"]["Health"]["Log"][0]["Start"][:19])
        eventually("its log", lambda: "web found its db" in self.compose("logs", "web").stdout)

    def test_data_outlives_down_and_goes_with_its_volumes(self):
        self.ask("/put/key/kept")
        self.compose("down", "-t", "0")
        self.assertEqual(self.containers(all=True), [])
        self.assertEqual(self.client.networks.list(filters={"label": f"com.docker.compose.project={self.tag}"}), [])
        self.up()
        self.assertEqual(self.ask("/get/key"), "kept")
        self.compose("down", "-v", "-t", "0")
        self.assertEqual(self.client.volumes.list(filters={"label": f"com.docker.compose.project={self.tag}"}), [])
        self.up()
        self.assertEqual(self.ask("/get/key"), "-")

    def test_ps_lists_what_runs(self):
        found = set(self.compose("ps", "-q").stdout.split())
        self.assertEqual(found, {c.id for c in self.containers()})
        self.assertEqual(set(self.compose("ps", "--services").stdout.split()), {"db", "web"})
        said = self.compose("ps").stdout
        self.assertIn("healthy", said)
        self.assertIn("8080/tcp", said)
        self.compose("stop", "-t", "0", "web")
        self.assertEqual(self.compose("ps", "--services", "--filter", "status=stopped" if not self.is_2 else
                                      "status=exited", *(["-a"] if self.is_2 else [])).stdout.split(), ["web"])

    def test_logs_of_all_and_of_one(self):
        self.ask()
        said = self.compose("logs", "--no-color").stdout
        self.assertIn("db is ready", said)
        self.assertIn("asked for /", said)
        said = self.compose("logs", "--no-color", "--tail", "1", "db").stdout
        self.assertIn("db is ready", said)
        self.assertNotIn("asked for", said)

    def test_logs_follow_until_the_containers_stop(self):
        following = self.begin("logs", "-f", "--no-color", "web")
        self.ask("/get/followed")
        self.compose("stop", "-t", "0", "web")
        said, _ = following.communicate(timeout=60)
        self.assertIn("asked for /get/followed", said)

    def test_exec_has_its_output_and_exit_code(self):
        found = self.compose("exec", "-T", "-e", "A=b", "web", "sh", "-c", "echo $A from $(hostname); exit 4", expect=4)
        self.assertEqual(found.stdout, f"b from {self.one('web').id[:12]}\n")
        said = self.compose("exec", "-T", "db", "cat", input="typed\n").stdout
        self.assertEqual(said, "typed\n")

    def test_run_is_one_container_more_on_the_same_network(self):
        ask = "import socket; s = socket.create_connection(('db', 9000), 5); s.sendall(b'put a one-off\\n'); print(s.recv(99))"
        found = self.compose("run", "--rm", "-T", "web", "python3", "-c", ask)
        self.assertIn("one-off", found.stdout)
        self.compose("run", "--rm", "-T", "web", "sh", "-c", "exit 5", expect=5)
        self.assertEqual(len(self.containers(all=True)), 2)

    def test_an_edited_page_is_seen_by_the_running_container(self):
        self.assertEqual(self.ask(), "hello first page")
        self.write("second page\n", "app/page")
        eventually("the new page", lambda: self.ask() == "hello second page")

    def test_an_edited_program_takes_effect_after_restart(self):
        self.ask()
        self.write(WEB.replace('"GREETING", ""', '"NONE", "edited"'), "app/web.py")
        self.compose("restart", "-t", "0", "web")
        eventually("the new program", lambda: self.ask() == "edited first page")

    def test_an_edited_file_recreates_only_what_it_concerns(self):
        web, db = self.one("web").id, self.one("db").id
        self.up()
        self.assertEqual((self.one("web").id, self.one("db").id), (web, db))
        self.write(STACK.replace("${GREETING:-hello}", "changed"))
        self.up()
        self.assertNotEqual(self.one("web").id, web)
        self.assertEqual(self.one("db").id, db)
        self.assertEqual(self.ask(), "changed first page")

    def test_a_variable_of_the_users_environment(self):
        self.up(env={"GREETING": "good day"}.items())
        self.assertEqual(self.ask(), "good day first page")

    def test_stop_start_pause_and_kill(self):
        web = self.one("web")
        for verb, state in ((("stop", "-t", "0"), "exited"), (("start",), "running"), (("pause",), "paused"),
                            (("unpause",), "running"), (("kill",), "exited")):
            self.compose(*verb, "web")
            eventually(state, lambda: self.status(web) == state)
        self.compose("rm", "-f", "web")
        self.assertEqual(self.containers("web", all=True), [])

    def test_top_and_images(self):
        self.assertIn("/srv/db.py", self.compose("top").stdout)
        self.assertIn("testbed/python", self.compose("images").stdout)


class Files:
    """What else may stand in a Compose file."""

    def test_scale_up_and_down(self):
        self.write("""
            services:
              worker: {image: busybox, command: sleep 600, stop_grace_period: 0s}
            """)
        for count in (3, 1, 2):
            self.up("--scale", f"worker={count}")
            self.assertEqual(len(self.containers("worker")), count)
        separator = "-" if self.is_2 else "_"
        self.assertEqual({c.name for c in self.containers("worker")},
                         {f"{self.tag}{separator}worker{separator}{n}" for n in (1, 2)})

    def test_a_service_on_the_engines_own_bridge_runs_where_the_policy_says(self):
        self.write("""
            services:
              job: {image: busybox, network_mode: bridge, command: sleep 600, stop_grace_period: 0s}
            """)
        self.up()
        self.assert_away(self.one("job"))
        self.assertEqual(self.compose("exec", "-T", "job", "echo", "there").stdout, "there\n")

    def test_profiles_pick_services(self):
        self.write("""
            services:
              main: {image: busybox, command: sleep 600, stop_grace_period: 0s}
              tool: {image: busybox, command: sleep 600, stop_grace_period: 0s, profiles: [tools]}
            """)
        self.up()
        self.assertEqual(len(self.containers()), 1)
        self.compose("--profile", "tools", "up", "-d")
        self.assertEqual(len(self.containers("tool")), 1)

    def test_env_files(self):
        self.write("WORD=interpolated\n", ".env")
        self.write("FROM_FILE=read\nOTHER=x y\n", "some.env")
        self.write("""
            services:
              main:
                image: busybox
                env_file: some.env
                environment: {DIRECT: "${WORD}", DEFAULT: "${NOTHING:-default}"}
                command: ["sh", "-c", "echo $$FROM_FILE $$OTHER $$DIRECT $$DEFAULT"]
            """)
        self.up()
        eventually("its output", lambda: "read x y interpolated default" in self.compose("logs", "--no-color").stdout)

    def test_up_in_front_ends_with_the_code_of_the_chosen_service(self):
        self.write("""
            services:
              test: {image: busybox, command: ["sh", "-c", "echo tested; sleep 1; exit 3"]}
              other: {image: busybox, command: sleep 600, stop_grace_period: 0s}
            """)
        self.addCleanup(self.compose, "down", "-v", "-t", "0", expect=None)
        found = self.compose("up", "--exit-code-from", "test", "-t", "0", expect=3)
        self.assertIn("tested", found.stdout)
        self.assertEqual(self.containers(), [])

    def test_a_built_service_and_its_rebuilding_after_an_edit(self):
        self.write("FROM busybox\nARG WORD\nRUN echo $WORD > /word\nCOPY page /page\nCMD cat /word /page; exec sleep 600\n",
                   "context/Dockerfile")
        self.write("one\n", "context/page")
        self.write("""
            services:
              main:
                image: %s-built
                build: {context: context, args: {WORD: given}}
                stop_grace_period: 0s
            """ % self.tag)
        self.gone(self.client.images.remove, f"{self.tag}-built", force=True)
        self.up("--build")
        eventually("its output", lambda: self.one("main").logs() == b"given\none\n")
        self.write("two\n", "context/page")
        self.up("--build")
        eventually("the new output", lambda: self.one("main").logs() == b"given\ntwo\n")

    def test_two_networks_are_apart_and_aliases_resolve(self):
        self.write("""
            services:
              back: {image: testbed/web, networks: {inner: {aliases: [store]}}, stop_grace_period: 0s}
              both: {image: testbed/python, command: sleep 600, networks: [inner, outer], stop_grace_period: 0s}
              front: {image: testbed/python, command: sleep 600, networks: [outer], stop_grace_period: 0s}
            networks:
              inner:
              outer:
            """)
        self.up()
        ask = "import sys,urllib.request as u; print(u.urlopen(f'http://{sys.argv[1]}:8080/', timeout=5).status)"
        for name in ("back", "store"):
            self.assertEqual(self.compose("exec", "-T", "both", "python3", "-c", ask, name).stdout, "200\n")
        self.assertNotEqual(self.compose("exec", "-T", "front", "python3", "-c", ask, "back", expect=None).returncode, 0)

    def test_external_networks_and_volumes_are_used_and_kept(self):
        network, volume = self.network(), self.volume()
        self.write("""
            services:
              main:
                image: busybox
                command: sh -c "echo kept > /d/x; exec sleep 600"
                networks: [given]
                volumes: [stock:/d]
                stop_grace_period: 0s
            networks:
              given: {external: true, name: %s}
            volumes:
              stock: {external: true, name: %s}
            """ % (network.name, volume.name))
        self.up()
        network.reload()
        self.assertEqual([c.id for c in network.containers], [self.one("main").id])
        self.compose("down", "-v", "-t", "0")
        self.assertEqual(self.client.networks.get(network.id).id, network.id)
        self.assertEqual(self.client.containers.run("busybox", "cat /d/x", volumes=[f"{volume.name}:/d"], remove=True),
                         b"kept\n")

    def test_secrets_are_files(self):
        self.write("hidden\n", "secret.txt")
        self.write("""
            services:
              main: {image: busybox, command: cat /run/secrets/word, secrets: [word]}
            secrets:
              word: {file: ./secret.txt}
            """)
        self.up()
        eventually("its output", lambda: b"hidden\n" == self.one("main").logs())

    def test_a_second_file_overrides(self):
        self.write("services: {main: {image: busybox, command: echo first, environment: {A: '1'}}}\n", "a.yml")
        self.write("services: {main: {command: [sh, -c, 'echo second $$A']}}\n", "b.yml")
        self.addCleanup(self.compose, "-f", "a.yml", "down", "-t", "0", expect=None)
        found = self.compose("-f", "a.yml", "-f", "b.yml", "up", *(["--no-log-prefix"] if self.is_2 else []))
        self.assertIn("second 1", found.stdout)

    def test_config_shows_the_whole(self):
        self.write("services: {main: {image: busybox, command: echo $WORD}}\n")
        self.assertRegex(self.compose("config", env={"WORD": "shown"}.items()).stdout, r"echo\s+(- )?shown")

    def test_a_missing_image_and_a_bad_file_are_errors_with_a_reason(self):
        self.write("services: {main: {image: '127.0.0.1:1/none'}}\n")
        self.addCleanup(self.compose, "down", expect=None)
        found = self.compose("up", "-d", expect=None)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("127.0.0.1:1", found.stdout + found.stderr)
        self.write("services: {main: {image: busybox, nonsense: 1}}\n")
        found = self.compose("up", "-d", expect=None)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("nonsense", found.stdout + found.stderr)

    def test_a_taken_port_is_an_error_with_its_number(self):
        self.start(None, "testbed/web", ports={"8080/tcp": 28280})
        self.write("services: {main: {image: testbed/web, ports: ['28280:8080']}}\n")
        self.addCleanup(self.compose, "down", "-t", "0", expect=None)
        found = self.compose("up", "-d", expect=None)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("28280", found.stdout + found.stderr)

    def test_orphans_are_removed_when_asked(self):
        self.write("services: {a: {image: busybox, command: sleep 600, stop_grace_period: 0s},"
                   " b: {image: busybox, command: sleep 600, stop_grace_period: 0s}}\n")
        self.up()
        self.write("services: {a: {image: busybox, command: sleep 600, stop_grace_period: 0s}}\n")
        self.up("--remove-orphans")
        self.assertEqual(self.containers("b", all=True), [])
        self.assertEqual(len(self.containers("a")), 1)

    def test_limits_labels_and_restart_policies_reach_the_engine(self):
        self.write("""
            services:
              main:
                image: busybox
                command: sleep 600
                network_mode: bridge
                labels: {a: b}
                restart: on-failure
                mem_limit: 64m
                read_only: true
                tmpfs: [/t]
                hostname: there
                stop_grace_period: 0s
            """)
        self.up()
        found = self.one("main")
        self.assert_away(found)
        self.assertEqual(found.labels["a"], "b")
        self.assertEqual(found.attrs["HostConfig"]["RestartPolicy"]["Name"], "on-failure")
        self.assertEqual(found.attrs["HostConfig"]["Memory"], 64 << 20)
        self.assertEqual(found.exec_run(["sh", "-c", "touch /x 2>/dev/null || touch /t/x && hostname"]).output, b"there\n")
