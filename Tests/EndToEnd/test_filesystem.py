"""A container's files from outside: cp, diff, export, import and commit."""

import io
import json
import os
import tarfile

from fixture import Case


class Copies(Case):
    def made(self, script="true", *options):
        """A container that has run this shell script and ended."""
        name = self.name()
        self.docker("run", "--name", name, *options, "busybox", "sh", "-c", script)
        return name

    def test_a_file_is_put_into_a_container_before_its_start(self):
        name, file = self.name(), self.folder() / "config"
        file.write_text("ready\n")
        self.docker("create", "--name", name, "busybox", "cat", "/etc/config")
        self.docker("cp", file, f"{name}:/etc/")
        self.assertEqual(self.docker("start", "-a", name).out, "ready\n")

    def test_a_file_is_fetched_from_a_container_that_has_ended(self):
        name, folder = self.made("echo result >/var/result"), self.folder()
        self.docker("cp", f"{name}:/var/result", folder)
        self.assertEqual((folder / "result").read_text(), "result\n")

    def test_what_a_folder_holds_is_copied_without_the_folder(self):
        name, folder = self.made("mkdir -p /out/deep; echo x >/out/deep/f"), self.folder()
        self.docker("cp", f"{name}:/out/.", folder)
        self.assertEqual((folder / "deep" / "f").read_text(), "x\n")
        self.docker("cp", f"{folder}/.", f"{name}:/var")
        self.docker("cp", f"{name}:/var/deep/f", folder / "back")
        self.assertEqual((folder / "back").read_text(), "x\n")

    def test_a_link_is_copied_as_one_or_followed(self):
        name, folder = self.made("echo x >/var/file; ln -s file /var/link"), self.folder()
        self.docker("cp", f"{name}:/var/link", folder / "link")
        self.assertEqual(os.readlink(folder / "link"), "file")
        self.docker("cp", "-L", f"{name}:/var/link", folder / "copy")
        self.assertEqual((folder / "copy").read_text(), "x\n")

    def test_owners_are_kept_if_asked(self):
        folder, name = self.folder(), self.service()
        (folder / "f").write_text("x")
        os.chown(folder / "f", 1234, 4321)
        self.docker("cp", folder / "f", f"{name}:/var/plain")
        self.docker("cp", "-a", folder / "f", f"{name}:/var/kept")
        self.assertEqual(self.docker("exec", name, "stat", "-c", "%u:%g", "/var/kept").line, "1234:4321")

    def test_errors_of_copies_are_said(self):
        name, file = self.name(), self.folder() / "f"
        file.write_text("x")
        self.docker("create", "--name", name, "busybox")
        for source, target, words in (
                (file, f"{name}:/no/such/f", "(?i)could not find the file /no/such|no such"),
                (file, f"{name}:/etc/passwd/", "(?i)no such directory|not a directory"),
                (file.parent, f"{name}:/etc/passwd", "cannot copy directory"),
                (f"{name}:/etc", file, "cannot copy directory"),
                (f"{name}:/a", f"{name}:/b", "copying between containers is not supported"),
                (f"{name}:/no/such", file, "(?i)could not find the file /no/such in container|no such"),
                (f"{self.tag}-ghost:/etc", file, f"No such container: {self.tag}-ghost")):
            with self.subTest(source=source, target=target):
                self.assertRegex(self.docker("cp", source, target, expect=1).err, words)

    def test_nothing_is_put_into_a_container_whose_root_is_read_only(self):
        name, file = self.name(), self.folder() / "f"
        file.write_text("x")
        self.docker("create", "--name", name, "--read-only", "busybox")
        self.assertIn("container rootfs is marked read-only", self.docker("cp", file, f"{name}:/var/", expect=1).err)

    def test_a_file_is_copied_into_a_container_while_it_is_paused(self):
        name, file = self.service(), self.folder() / "f"
        file.write_text("x")
        self.docker("pause", name)
        self.docker("cp", file, f"{name}:/var/f")
        self.docker("unpause", name)
        self.assertEqual(self.docker("exec", name, "cat", "/var/f").out, "x")

    def test_diff_tells_the_kinds_of_change_also_after_the_end(self):
        name = self.made("echo x >>/etc/passwd; mkdir /made; touch /made/f; rm /etc/group")
        self.assertLessEqual({"C /etc", "C /etc/passwd", "A /made", "A /made/f", "D /etc/group"},
                             set(self.docker("diff", name).out.splitlines()))

    def test_diff_of_an_untouched_container_is_empty(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox")
        self.assertEqual(self.docker("diff", name).out, "")


class Images(Case):
    """Images made of containers."""

    def config(self, image):
        return json.loads(self.docker("image", "inspect", "--format", "{{json .Config}}", image).out)

    def test_what_is_exported_can_be_imported_and_run(self):
        name, image = self.name(), self.image()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "echo mine >/mark; chown 12:34 /mark")
        archive = self.docker("export", name, text=False).out
        self.docker("import", "--change", 'CMD ["cat", "/mark"]', "--change", "ENV A=b", "--message", "brought in", "-",
                    image, input=archive, text=False)
        self.assertEqual(self.docker("run", "--rm", image).out, "mine\n")
        self.assertEqual(self.docker("run", "--rm", image, "sh", "-c", "echo $A; stat -c %u:%g /mark").out,
                         "b\n12:34\n")
        self.assertEqual(self.docker("history", "--format", "{{.Comment}}", image).line, "brought in")

    def test_an_export_goes_to_a_file_if_asked(self):
        name, file = self.name(), self.folder() / "all.tar"
        self.docker("create", "--name", name, "busybox")
        self.docker("export", "-o", file, name)
        with tarfile.open(file) as tar:
            self.assertIn("etc/passwd", tar.getnames())

    def test_an_archive_of_files_becomes_an_image(self):
        image, archive = self.image(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("said")
            member.size = 5
            tar.addfile(member, io.BytesIO(b"hello"))
        self.docker("import", "-", image, input=archive.getvalue(), text=False)
        name, file = self.name(), self.folder() / "said"
        self.docker("create", "--name", name, image, "anything")
        self.docker("cp", f"{name}:/said", file)
        self.assertEqual(file.read_text(), "hello")

    def test_a_commit_keeps_files_and_settings(self):
        name, image = self.name(), self.image()
        self.docker("run", "--name", name, "-e", "A=b", "-w", "/var", "--label", "x=y", "busybox", "sh", "-c",
                    "echo mine >/mark")
        ident = self.docker("commit", name, image).line
        self.assertRegex(ident, "^sha256:[0-9a-f]{64}$")
        config = self.config(image)
        self.assertIn("A=b", config["Env"])
        self.assertEqual((config["WorkingDir"], config["Labels"]["x"], config["Cmd"][0]), ("/var", "y", "sh"))
        self.assertEqual(self.docker("run", "--rm", image, "sh", "-c", "pwd; cat /mark; echo $A").out,
                         "/var\nmine\nb\n")

    def test_a_commit_changes_settings_and_says_by_whom_and_why(self):
        name, image = self.name(), self.image()
        self.docker("create", "--name", name, "busybox")
        self.docker("commit", "--author", "Ada", "--message", "for a reason", "--change", 'ENTRYPOINT ["echo", "said"]',
                    "--change",
                    "EXPOSE 80", "--change", "USER nobody", name, image)
        config = self.config(image)
        self.assertEqual((config["Entrypoint"], config["ExposedPorts"], config["User"]),
                         (["echo", "said"], {"80/tcp": {}}, "nobody"))
        self.assertEqual(self.docker("image", "inspect", "--format", "{{.Author}}|{{.Comment}}", image).line,
                         "Ada|for a reason")
        self.assertEqual(self.docker("run", "--rm", image, "hi").out, "said hi\n")

    def test_a_running_container_is_committed_and_runs_on(self):
        name, image = self.service(), self.image()
        self.docker("exec", name, "sh", "-c", "echo mine >/mark")
        self.docker("commit", name, image)
        self.assertEqual(self.state(name), "running")
        self.assertEqual(self.docker("run", "--rm", image, "cat", "/mark").out, "mine\n")

    def test_a_commit_of_what_is_not_there_is_said(self):
        ghost = f"{self.tag}-ghost"
        self.assertIn(f"No such container: {ghost}", self.docker("commit", ghost, self.image(), expect=1).err)
