"""`docker build`: what a Dockerfile says, and what it cannot."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from fixture import (PLAIN, POLICY, REPO, TESTBED, Case, command_output, environment, eventually, lighter_only,
                     remote_only)


class Builds(Case):
    def build(self, dockerfile, *options, expect=0, files=()):
        """Builds an image: its name, and what the client printed."""
        folder, image = self.folder(), self.image()
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in dict(files).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        found = self.docker("build", "-t", image, *options, folder, expect=expect)
        return image, found.out + found.err

    def ran(self, image, *command):
        return self.docker("run", "--rm", image, *command).out

    def config(self, image):
        return json.loads(self.docker("image", "inspect", "--format", "{{json .Config}}", image).out)

    def test_an_image_is_built_and_run(self):
        image, _ = self.build("FROM busybox\nWORKDIR /app\nCOPY said .\nRUN echo and more >>said\nENV A=b\n"
                              'CMD ["sh", "-c", "cat said; echo $A"]\n', files={"said": "hello\n"})
        self.assertEqual(self.ran(image), "hello\nand more\nb\n")

    def test_what_an_image_declares_is_shown(self):
        image, _ = self.build("FROM busybox\nLABEL ship=Argo\nEXPOSE 80 53/udp\nVOLUME /data\nUSER 1234\n"
                              'STOPSIGNAL USR1\nENTRYPOINT ["echo", "x"]\nHEALTHCHECK --interval=9s CMD true\n')
        found = self.config(image)
        self.assertEqual((found["Labels"]["ship"], found["User"], found["StopSignal"], found["Entrypoint"]),
                         ("Argo", "1234", "USR1", ["echo", "x"]))
        self.assertEqual((set(found["ExposedPorts"]), set(found["Volumes"]), found["Healthcheck"]["Interval"]),
                         ({"80/tcp", "53/udp"}, {"/data"}, 9_000_000_000))

    def test_arguments_have_defaults_and_are_given(self):
        dockerfile = "FROM busybox\nARG A=default\nARG B=other\nENV A=$A B=$B\n"
        image, _ = self.build(dockerfile, "--build-arg", "A=given")
        self.assertEqual(self.ran(image, "sh", "-c", "echo $A $B"), "given other\n")

    def test_a_step_that_fails_ends_the_build_with_its_output(self):
        _, said = self.build("FROM busybox\nRUN echo before the end; exit 7\n", "--force-rm", expect=None)
        self.assertIn("before the end", said)
        self.assertRegex(said, "(returned a non-zero code|exit code): 7")

    def test_a_stage_takes_files_of_another(self):
        dockerfile = ("FROM busybox AS work\nRUN echo made >/result\nFROM busybox\nCOPY --from=work /result /taken\n"
                      'CMD ["cat", "/taken"]\n')
        self.assertEqual(self.ran(self.build(dockerfile)[0]), "made\n")
        image, _ = self.build(dockerfile, "--target", "work")
        self.assertEqual(self.ran(image, "cat", "/result"), "made\n")

    def test_what_is_to_be_ignored_is_not_sent(self):
        image, _ = self.build("FROM busybox\nCOPY . /got\n", files={
            ".dockerignore": "*.log\nsecret\n!kept.log\n", "a.log": "", "kept.log": "", "secret/key": "", "b": ""})
        self.assertEqual(set(self.ran(image, "ls", "/got").split()) - {"Dockerfile"}, {"kept.log", "b"})

    def test_steps_that_were_done_are_not_done_again(self):
        dockerfile = "FROM busybox\nCOPY said /\nRUN cat /proc/sys/kernel/random/uuid >/id\n"
        first, second, other = (self.ran(self.build(dockerfile, *more, files={"said": "x"})[0], "cat", "/id")
                                for more in ((), (), ("--no-cache",)))
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)

    def test_a_dockerfile_alone_comes_by_standard_input(self):
        image = self.image()
        self.docker("build", "-t", image, "-", input="FROM busybox\nCMD echo from afar\n")
        self.assertEqual(self.ran(image), "from afar\n")

    def test_a_dockerfile_bears_another_name(self):
        folder, image = self.folder(), self.image()
        (folder / "Other").write_text("FROM busybox\nCMD echo other\n")
        self.docker("build", "-t", image, "-f", folder / "Other", folder)
        self.assertEqual(self.ran(image), "other\n")

    def test_an_image_gets_several_names_and_its_id_is_written(self):
        folder, second = self.folder(), self.image()
        image, _ = self.build("FROM busybox\nLABEL a=b\n", "-t", second, "--iidfile", folder / "id", "--label",
                              f"t={self.tag}")
        ids = {self.docker("image", "inspect", "--format", "{{.Id}}", x).line for x in (image, second)}
        self.assertEqual(ids, {(folder / "id").read_text()})
        self.assertEqual(self.config(image)["Labels"], {"a": "b", "t": self.tag})

    def test_a_quiet_build_prints_the_id_alone(self):
        image, said = self.build("FROM busybox\n LABEL c=d\n", "-q")
        self.assertIn(self.docker("image", "inspect", "--format", "{{.Id}}", image).line, said.splitlines())

    def test_names_of_hosts_are_given_to_the_steps(self):
        image, _ = self.build("FROM busybox\nRUN grep there.example /etc/hosts >/found\n", "--add-host",
                              "there.example:192.0.2.9")
        self.assertEqual(self.ran(image, "cat", "/found").split(), ["192.0.2.9", "there.example"])

    def test_modes_and_links_of_the_sources_are_kept(self):
        folder, image = self.folder(), self.image()
        (folder / "tree").mkdir()
        (folder / "tree" / "run").write_text("#!/bin/sh\necho ran\n")
        (folder / "tree" / "run").chmod(0o750)
        os.symlink("run", folder / "tree" / "link")
        (folder / "Dockerfile").write_text("FROM busybox\nCOPY tree /tree\n")
        self.docker("build", "-t", image, folder)
        self.assertEqual(self.ran(image, "sh", "-c", "/tree/link; stat -c %a /tree/run; readlink /tree/link"),
                         "ran\n750\nrun\n")

    def test_errors_of_a_dockerfile_are_said(self):
        for dockerfile, words in (("FROM busybox\nFETCH x\n", "(?i)unknown instruction: FETCH"),
                                  ("RUN true\n", "(?i)no build stage in current context"),
                                  ("FROM busybox\nCOPY missing /\n", "missing"),
                                  ("", "(?i)cannot be empty|file with no instructions|is empty")):
            with self.subTest(dockerfile=dockerfile):
                self.assertRegex(self.build(dockerfile, expect=1)[1], words)
        self.assertRegex(self.docker("build", self.folder(), expect=1).err,
                         "(?i)Dockerfile.*no such file|unable to evaluate")


OLDER = "/usr/bin/docker"  # Debian's docker.io, whose client speaks to BuildKit by itself


class BuildKit(Case):
    """`docker build` by BuildKit: with buildx, as clients of today, and without, as those before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command_output(REPO / "scripts" / "need", "buildx")
        cls.clients = {"buildx": "docker"}
        if "version 20." in command_output(OLDER, "--version"):
            cls.clients["older"] = OLDER

    def command(self, client, *options):
        """A command line and its environment."""
        config = self.folder()
        (config / "cli-plugins").symlink_to(REPO / ".build" / "clients" / "cli-plugins")
        progress = ("--progress", "plain")
        return ([self.clients[client], "--config", str(config), "build", *progress, *map(str, options)],
                {**environment(self.world.front_doors["edge1"]), "DOCKER_BUILDKIT": "1"})

    def build(self, client, folder, *options, expect=0):
        command, variables = self.command(client, "-t", f"{self.tag}:v1", *options, folder)
        done = subprocess.run(command, text=True, timeout=120, capture_output=True, env=variables)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        for node in ("edge1", "cloud1"):
            self.addCleanup(self.docker, "rmi", "-f", f"{self.tag}:v1", at=node, engine=True, expect=None)
        return done.stdout + done.stderr

    def context(self, dockerfile, **files):
        folder = self.folder()
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            (folder / name).write_text(text)
        return folder

    def built_there(self):
        """Whether the image of the test was made by the other node's engine."""
        if POLICY != "remote" or PLAIN:
            return False
        image = self.docker("image", "inspect", "--format", "{{.Id}}", f"{self.tag}:v1", at="edge1", engine=True).line
        there = self.docker("image", "inspect", "--format", "{{.RepoTags}}", image, at="cloud1", engine=True,
                            expect=None)
        if there.code == 0:
            self.assertEqual(there.line, "[]", "names there are its owner's")
        return there.code == 0

    def assert_there(self):
        self.assertEqual(self.built_there(), POLICY == "remote" and not PLAIN)

    def names_there(self):
        return sorted(x for x in self.docker("images", "--format", "{{.Repository}}:{{.Tag}}", at="cloud1",
                                             engine=True).out.split() if "<none>" not in x)

    def ran(self, *command):
        return self.docker("run", "--rm", f"{self.tag}:v1", *command).out

    def test_an_image_is_made_there_and_is_here_with_its_name(self):
        for client in self.clients:
            with self.subTest(client=client):
                names = self.names_there()
                folder = self.context("FROM busybox AS one\nARG WORD\nCOPY . /in/\nRUN echo $WORD > /word\n"
                                      "FROM busybox\nCOPY --from=one /in /in\nCOPY --from=one /word /\n"
                                      f"LABEL t={self.tag}{client}\n"
                                      'CMD ["sh", "-c", "ls -A /in; cat /word"]\n',
                                      **{"text": "a", "x.skipped": "b",
                                         ".dockerignore": "*.skipped\n.dockerignore\nDockerfile\n"})
                said = self.build(client, folder, "--build-arg", "WORD=given")
                self.assertNotIn("lighter.invalid", said)
                self.assertIn("docker.io/library/busybox", said)
                self.assert_there()
                self.assertEqual(self.ran(), "text\ngiven\n")
                if not PLAIN:
                    eventually("names there are as before", lambda: self.names_there() == names, 20)

    def test_secrets_and_cached_folders(self):
        for client in self.clients:
            with self.subTest(client=client):
                for n in (1, 2):
                    folder = self.context(f"FROM busybox\nRUN --mount=type=cache,id={self.tag}{client},target=/c "
                                          "--mount=type=secret,id=word wc -c < /run/secrets/word >> /c/log; "
                                          f"echo {n} >> /c/log; "
                                          "cp /c/log /log\nCMD cat /log\n", word="hidden\n")
                    self.build(client, folder, "--secret", f"id=word,src={folder / 'word'}")
                    self.assert_there()
                self.assertEqual(self.ran(), "7\n1\n7\n2\n")

    def test_the_result_as_files(self):
        for client in self.clients:
            with self.subTest(client=client):
                folder = self.context(f"FROM busybox AS made\nRUN echo built {self.tag}{client} > /result\n"
                                      "FROM scratch\nCOPY --from=made /result /\n")
                out = self.folder() / "out"
                command, variables = self.command(client, "-o", f"type=local,dest={out}", folder)
                done = subprocess.run(command, text=True, timeout=120, capture_output=True, env=variables)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual((out / "result").read_text(), f"built {self.tag}{client}\n")

    def test_a_second_build_is_cached_and_a_changed_file_is_not(self):
        for client in self.clients:
            with self.subTest(client=client):
                dockerfile = (f"FROM busybox\nRUN echo {self.tag}{client}\nCOPY page /page\nRUN cat /page > /copy\n"
                              "CMD cat /copy\n")
                self.build(client, self.context(dockerfile, page="one\n"))
                folder = self.context(dockerfile, page="one\n")
                said = self.build(client, folder)
                self.assertRegex(said, r"\] RUN cat .*\n(#\d+ sha256.*\n)?#\d+ CACHED")
                (folder / "page").write_text("two\n")
                said = self.build(client, folder)
                self.assertRegex(said, r"\] RUN echo .*\n(#\d+ sha256.*\n)?#\d+ CACHED")
                self.assertEqual(self.ran(), "two\n")
                other = dockerfile.replace("> /copy", "> /kopy").replace("cat /copy", "ls /kopy")
                (folder / "Dockerfile").write_text(other)
                self.build(client, folder)
                self.assertEqual(self.ran(), "/kopy\n")
                self.assert_there()

    @remote_only
    def test_what_is_said_of_a_context_that_has_not_changed_is_not_said_again(self):
        for client in self.clients:
            with self.subTest(client=client):
                folder = self.context(f"FROM busybox\nLABEL t={self.tag}{client}\nCOPY . /in\n"
                                      "CMD cat /in/folder3/some-file-of-many-1003\n")
                for number in range(2000):
                    place = folder / f"folder{number % 10}"
                    place.mkdir(exist_ok=True)
                    (place / f"some-file-of-many-{number}").write_text(f"{number}\n")
                # Of one user, whose settings name the folder.
                command, variables = self.command(client, "-t", f"{self.tag}:v1", folder)

                def build():
                    done = subprocess.run(command, text=True, timeout=120, capture_output=True, env=variables)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

                self.build(client, folder)
                build()
                sent = []
                for _ in range(2):
                    before = self.traffic("edge1")
                    build()
                    sent.append(self.traffic("edge1") - before)
                # The names and times of its files alone are 140 kB, and 25 kB as zstd has them.
                self.assertLess(min(sent), 20_000, sent)
                self.assertEqual(self.ran(), "1003\n")
                (folder / "folder3" / "some-file-of-many-1003").write_text("changed\n")
                build()
                self.assertEqual(self.ran(), "changed\n")
                self.assert_there()

    @staticmethod
    def traffic(node):
        """Bytes that have passed a node's interface, both ways."""
        lines = command_output(TESTBED, "exec", node, "cat", "/proc/net/dev").splitlines()
        words = next(line.split(":")[1].split() for line in lines if line.strip().startswith("eth0:"))
        return int(words[0]) + int(words[8])

    @lighter_only
    def test_a_base_that_only_the_device_has_travels_first(self):
        name, base = self.name(), f"{self.tag}-base"
        self.docker("run", "--name", name, "--label", "lighter.policy=local", "busybox", "sh", "-c",
                    "echo mine > /base")
        self.docker("commit", name, base, at="edge1", engine=True)
        self.addCleanup(self.docker, "rmi", "-f", base, at="edge1", engine=True, expect=None)
        for client in self.clients:
            with self.subTest(client=client):
                self.build(client, self.context(f"FROM {base}\nRUN cat /base > /{client}\nCMD cat /{client}\n"))
                self.assert_there()
                self.assertEqual(self.ran(), "mine\n")

    def test_a_step_that_fails_shows_its_output_and_code(self):
        for client in self.clients:
            with self.subTest(client=client):
                folder = self.context(f"FROM busybox\nRUN echo before {self.tag}{client}; exit 7\n")
                said = self.build(client, folder, expect=1)
                self.assertIn(f"before {self.tag}{client}", said)
                self.assertRegex(said, "exit code: 7")
                # The device's engine itself, being of Docker 20.10, does not give them.
                if client == "buildx" and POLICY == "remote" and not PLAIN:
                    self.assertIn(f"   2 | >>> RUN echo before {self.tag}", said)

    def begun(self, client):
        """A build in the middle of a step, and what runs there."""
        mark = f"{self.tag}{client}"
        seconds = 10_000 + int(self.tag[-4:], 16) + len(client)  # nobody else's
        folder = self.context(f"FROM busybox\nRUN echo begun {mark}; sleep {seconds}\n")
        command, variables = self.command(client, folder)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables)
        self.addCleanup(self.reap, process)
        seen, end = b"", time.monotonic() + 60
        while f"begun {mark}\n".encode() not in seen.partition(b"RUN")[2].partition(b"\n")[2]:
            more = process.stdout.read1(4096)
            self.assertTrue(more and time.monotonic() < end, seen.decode())
            seen += more

        def running():
            return [p for p in Path("/proc").glob("[0-9]*/cmdline")
                    if self.command_line(p) == f"sleep {seconds} "]

        eventually("the step runs", running)
        return process, running

    @staticmethod
    def command_line(path):
        try:
            return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""

    def test_a_client_that_leaves_ends_the_build(self):
        for client in self.clients:
            with self.subTest(client=client):
                process, running = self.begun(client)
                process.send_signal(signal.SIGINT)
                process.wait(30)
                eventually("the step has ended", lambda: not running(), 30)

    @remote_only
    def test_a_link_that_breaks_in_the_middle_is_an_error(self):
        for client in self.clients:
            with self.subTest(client=client):
                process, running = self.begun(client)
                self.mended()
                command_output(TESTBED, "cut", "cloud1")
                said = process.communicate(timeout=60)[0].decode()
                self.assertNotEqual(process.returncode, 0)
                self.assertIn("did not come to this device", said)
                command_output(TESTBED, "heal", "cloud1")
                eventually("the step has ended", lambda: not running(), 60)
                self.fleet("up")

    @lighter_only
    def test_what_would_be_wrong_elsewhere_is_built_on_the_device(self):
        for client in self.clients:
            with self.subTest(client=client):
                self.build(client, self.context(f"FROM busybox\nRUN echo {client}\n"), "--network", "host")
                self.assertFalse(self.built_there())
                self.build(client, self.context("FROM busybox\nLABEL a=b\n"), "--label", "lighter.policy=local",
                           "--label", f"t={self.tag}{client}")
                self.assertFalse(self.built_there())

    def test_a_builder_is_looked_at(self):
        command, variables = self.command("buildx")
        buildx = [*command[:3], "buildx"]
        for words, wanted in ((("inspect",), "Driver:"), (("du",), "Total:"), (("ls",), "default")):
            done = subprocess.run([*buildx, *words], text=True, capture_output=True, env=variables, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(wanted, done.stdout)
