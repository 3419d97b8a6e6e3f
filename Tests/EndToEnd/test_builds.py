"""`docker build`: what a Dockerfile says, and what it cannot."""

import json
import os

from fixture import Case


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
