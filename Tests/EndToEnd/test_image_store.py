"""Images as the device keeps them: names, archives, history and lists."""

import json
import tarfile

from fixture import Case, json_lines


class Images(Case):
    def ident(self, image):
        return self.docker("image", "inspect", "--format", "{{.Id}}", image).line

    def tagged(self, source="busybox"):
        image = self.image()
        self.docker("tag", source, image)
        return image

    def made(self, dockerfile="FROM busybox\n", *options):
        """An image of its own, told apart by a label."""
        image = self.image()
        self.docker("build", "-q", "-t", image, *options, "-", input=f"{dockerfile}LABEL mark={image}\n")
        return image

    def test_a_name_is_one_more_for_the_same_image(self):
        image = self.tagged()
        self.assertEqual(self.ident(image), self.ident("busybox"))
        self.assertEqual(self.docker("run", "--rm", image, "echo", "yes").out, "yes\n")
        found = self.docker("rmi", image)
        self.assertEqual(found.out, f"Untagged: {image}\n")
        self.docker("image", "inspect", "busybox")

    def test_an_image_is_removed_with_its_last_name(self):
        image = self.made()
        second, ident = self.tagged(image), self.ident(image)
        self.docker("rmi", image)
        self.assertEqual(self.ident(second), ident)
        self.assertIn(f"Deleted: {ident}", self.docker("rmi", second).out)
        self.assertIn("No such image", self.docker("image", "inspect", ident, expect=1).err)

    def test_an_image_that_a_container_uses_is_removed_only_by_force(self):
        image, name = self.made(), self.name()
        ident = self.ident(image)
        self.docker("create", "--name", name, image)
        found = self.docker("rmi", image, expect=1)
        self.assertIn(f"(must force) - container {self.inspect(name, '{{.Id}}')[:12]} is using its referenced image",
                      found.err)
        self.docker("rmi", "-f", image)
        self.assertEqual(self.inspect(name, "{{.Image}}"), ident)

    def test_an_image_with_several_names_is_not_removed_by_its_id(self):
        image, other = self.made(), f"{self.tag}-other"
        self.addCleanup(lambda: self.docker("rmi", "-f", other, expect=None))
        self.docker("tag", image, other)
        self.assertIn("image is referenced in multiple repositories",
                      self.docker("rmi", self.ident(image), expect=1).err)

    def test_images_go_through_an_archive(self):
        image, file = self.made(), self.folder() / "images.tar"
        second, ident = self.tagged(image), self.ident(image)
        self.docker("save", "-o", file, image, second)
        with tarfile.open(file) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
        self.assertEqual([m["RepoTags"] for m in manifest], [[image, second]])
        self.docker("rmi", image, second)
        found = self.docker("load", "-i", file)
        self.assertEqual(set(found.out.splitlines()), {f"Loaded image: {x}" for x in (image, second)})
        self.assertEqual((self.ident(image), self.ident(second)), (ident, ident))
        self.assertEqual(self.docker("run", "--rm", image, "echo", "yes").out, "yes\n")

    def test_an_archive_goes_through_a_pipe(self):
        image = self.made()
        ident, archive = self.ident(image), self.docker("save", image, text=False).out
        self.docker("rmi", image)
        self.docker("load", "-q", input=archive, text=False)
        self.assertEqual(self.ident(image), ident)

    def test_history_shows_each_step(self):
        image = self.made("FROM busybox\nENV A=b\nCMD true\n")
        lines = json_lines(self.docker("history", "--no-trunc", "--format", "{{json .}}", image).out)
        self.assertIn(f"mark={image}", lines[0]["CreatedBy"])
        self.assertRegex(lines[1]["CreatedBy"], "CMD")
        self.assertRegex(lines[2]["CreatedBy"], "ENV A=b")
        self.assertEqual(self.docker("history", "-q", "--no-trunc", image).out.split()[0], self.ident(image))

    def test_images_are_listed_by_name_label_and_age(self):
        image = self.made("FROM busybox\n", "--label", f"t={self.tag}")
        names = "{{.Repository}}:{{.Tag}}"
        for filters in (("--filter", f"label=t={self.tag}"), ("--filter", f"reference={self.tag}"),
                        ("--filter", f"reference={self.tag[:8]}*:*"), (self.tag,), (image,),
                        ("--filter", "since=busybox", "--filter", f"label=t={self.tag}")):
            with self.subTest(filters=filters):
                self.assertEqual(self.docker("images", *filters, "--format", names).line, image)
        self.assertEqual(self.docker("images", "--filter", f"label=t={self.tag}x", "-q").line, "")
        self.assertEqual(self.docker("images", "-q", "--no-trunc", image).line, self.ident(image))

    def test_an_image_without_a_name_dangles(self):
        image = self.made()
        ident = self.ident(image)
        self.addCleanup(lambda: self.docker("rmi", "-f", ident, expect=None))
        self.docker("tag", "busybox", image)
        dangling = ("images", "-q", "--no-trunc", "--filter", "dangling=true")
        self.assertIn(ident, self.docker(*dangling).out.split())
        self.docker("rmi", ident)
        self.assertNotIn(ident, self.docker(*dangling).out.split())

    def test_inspecting_an_image_shows_what_it_is(self):
        shown = json.loads(self.docker("image", "inspect", "busybox").out)[0]
        self.assertIn("busybox:latest", shown["RepoTags"])
        self.assertEqual((shown["Os"], shown["Config"]["Cmd"], shown["RootFS"]["Type"]), ("linux", ["sh"], "layers"))
        self.assertEqual(self.docker("inspect", "--format", "{{.Id}}", shown["Id"].removeprefix("sha256:")[:12]).line,
                         shown["Id"])

    def test_a_container_keeps_the_image_that_it_was_made_from(self):
        image, name = self.made("FROM busybox\nCMD echo old\n"), self.name()
        old = self.ident(image)
        self.docker("create", "--name", name, image)
        self.docker("build", "-q", "-t", image, "-", input=f"FROM busybox\nCMD echo new\nLABEL mark={image}\n")
        self.assertEqual(self.docker("start", "-a", name).out, "old\n")
        self.assertEqual(self.docker("run", "--rm", image).out, "new\n")
        self.assertEqual(self.inspect(name, "{{.Image}}"), old)
        self.docker("rm", name)
        self.docker("rmi", old, expect=None)

    def test_a_container_is_made_by_an_images_id(self):
        ident = self.ident("busybox")
        for reference in (ident, ident.removeprefix("sha256:")[:12], "busybox:latest", "docker.io/library/busybox"):
            with self.subTest(reference=reference):
                name = self.name()
                self.docker("run", "--name", name, reference, "true")
                self.assertEqual(self.inspect(name, "{{.Config.Image}} {{.Image}}"), f"{reference} {ident}")

    def test_what_is_wrong_with_an_image_is_said(self):
        ghost = f"{self.tag}-ghost"
        self.assertIn(f"No such image: {ghost}:latest", self.docker("tag", ghost, "x", expect=1).err)
        self.assertIn(f"No such image: {ghost}:latest", self.docker("rmi", ghost, expect=1).err)
        self.assertIn(f"No such image: {ghost}", self.docker("image", "inspect", ghost, expect=1).err)
        self.assertIn(f"No such image: {ghost}", self.docker("history", ghost, expect=1).err)
        self.assertRegex(self.docker("save", ghost, expect=1).err, f"No such image: {ghost}|reference does not exist")
        self.assertRegex(self.docker("tag", "busybox", "Not Good", expect=1).err,
                         "(?i)invalid reference format|not a valid")
        self.assertIn("invalid reference format", self.docker("run", "--rm", "Not:Good:x", expect=125).err)
        self.assertIn("nvalid filter 'colour'", self.docker("images", "--filter", "colour=red", expect=1).err)
        self.assertIn(f"No such image: {ghost}:latest",
                      self.docker("run", "--rm", "--pull", "never", ghost, expect=125).err)


class Upkeep(Case):
    """Prunes, with a label always: the engine is shared."""

    def test_containers_are_pruned_by_label_and_what_runs_is_left(self):
        label = ("--label", f"t={self.tag}")
        gone, created, running, other = self.name(), self.name(), self.service(*label), self.name()
        self.docker("run", "--name", gone, *label, "busybox", "true")
        self.docker("create", "--name", created, *label, "busybox")
        self.docker("create", "--name", other, "busybox")
        found = self.docker("container", "prune", "-f", "--filter", f"label=t={self.tag}")
        self.assertTrue(found.out.startswith("Deleted Containers:\n"), found.out)
        self.assertEqual(self.names("-a", "--filter", f"name={self.tag}"), {running, other})

    def test_images_are_pruned_by_label_and_what_is_used_is_left(self):
        used, unused = self.image(), self.image()
        for image in (used, unused):
            self.docker("build", "-q", "-t", image, "--label", f"t={self.tag}", "-",
                        input=f"FROM busybox\nLABEL m={image}\n")
        self.docker("create", "--name", self.name(), used)
        mine = ("--filter", f"label=t={self.tag}")
        self.docker("image", "prune", "-f", *mine)
        listed = ("images", *mine, "--format", "{{.Repository}}:{{.Tag}}")
        self.assertEqual(set(self.docker(*listed).out.split()), {used, unused})
        self.assertIn(f"untagged: {unused}", self.docker("image", "prune", "-a", "-f", *mine).out)
        self.assertEqual(self.docker(*listed).out.split(), [used])

    def test_everything_is_pruned_by_label_at_once(self):
        label = ("--label", f"t={self.tag}")
        name, network = self.name(), self.network(*label)
        self.docker("create", "--name", name, *label, "busybox")
        found = self.docker("system", "prune", "-f", "--filter", f"label=t={self.tag}")
        self.assertIn("Deleted Containers:", found.out)
        self.assertIn(f"Deleted Networks:\n{network}\n", found.out)
        self.assertNotIn(name, self.names("-a"))

    def test_the_use_of_the_disk_is_told(self):
        volume, name = self.volume(), self.name()
        self.docker("run", "--name", name, "-v", f"{volume}:/data", "busybox", "dd", "if=/dev/zero", "of=/data/f",
                    "bs=1000", "count=50")
        kinds = {x["Type"]: x for x in json_lines(self.docker("system", "df", "--format", "{{json .}}").out)}
        self.assertEqual(set(kinds), {"Images", "Containers", "Local Volumes", "Build Cache"})
        self.assertGreaterEqual(int(kinds["Local Volumes"]["Active"]), 1)
        self.assertRegex(self.docker("system", "df", "-v").out, rf"(?m)^{volume} +1 +50kB$")
