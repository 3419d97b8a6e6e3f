"""Volumes: named, anonymous, shared, and what removes them."""

import io
import json
import subprocess
import tarfile
import time

from fixture import Case, eventually


class Volumes(Case):
    def volumes(self, *args):
        return set(self.docker("volume", "ls", "-q", *args).out.split())

    def mounts(self, name):
        return json.loads(self.inspect(name, "{{json .Mounts}}"))

    def test_what_is_in_a_volume_outlives_its_container(self):
        volume = self.volume()
        self.shell("echo kept >/data/f; chmod 640 /data/f", "-v", f"{volume}:/data")
        self.assertEqual(self.shell("cat /data/f; stat -c %a /data/f", "-v", f"{volume}:/data").out, "kept\n640\n")

    def test_two_containers_share_a_volume(self):
        volume = self.volume()
        one, two = (self.service("-v", f"{volume}:/data") for _ in range(2))
        self.docker("exec", one, "sh", "-c", "echo shared >/data/f")
        self.assertEqual(self.docker("exec", two, "cat", "/data/f").out, "shared\n")
        self.docker("exec", two, "rm", "/data/f")
        self.docker("exec", one, "ls", "/data/f", expect=1)

    def test_a_volume_that_does_not_exist_is_made_by_the_run(self):
        name = f"{self.tag}-made"
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", name))
        self.shell("true", "-v", f"{name}:/data")
        self.assertIn(name, self.volumes())

    def test_a_read_only_volume_is_one(self):
        volume = self.volume()
        found = self.shell("echo x >/data/f", "-v", f"{volume}:/data:ro", expect=1)
        self.assertIn("Read-only file system", found.err)

    def test_an_empty_volume_is_filled_with_what_the_image_has_there(self):
        volume, bare = self.volume(), self.volume()
        self.assertIn("root:", self.shell("cat /etc/passwd", "-v", f"{volume}:/etc").out)
        self.assertIn("root:", self.shell("cat /data/passwd", "-v", f"{volume}:/data").out)
        self.shell("cat /etc/passwd", "-v", f"{bare}:/etc:nocopy", expect=1)

    def test_a_volume_in_use_is_not_removed(self):
        volume = self.volume()
        name = self.service("-v", f"{volume}:/data")
        found = self.docker("volume", "rm", volume, expect=1)
        self.assertIn(f"remove {volume}: volume is in use - [{self.inspect(name, '{{.Id}}')}]", found.err)
        self.docker("stop", "-t", "0", name)
        self.docker("volume", "rm", volume, expect=1)
        self.docker("rm", name)
        self.assertEqual(self.docker("volume", "rm", volume).line, volume)

    def test_an_anonymous_volume_goes_with_its_container_only_if_asked(self):
        kept, gone = self.name(), self.name()
        for name in (kept, gone):
            self.docker("run", "--name", name, "-v", "/data", "busybox", "touch", "/data/f")
        ours, theirs = (self.mounts(name)[0]["Name"] for name in (kept, gone))
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", ours))
        self.assertLessEqual({ours, theirs}, self.volumes())
        self.docker("rm", kept)
        self.docker("rm", "-v", gone)
        self.assertIn(ours, self.volumes())
        self.assertNotIn(theirs, self.volumes())

    def test_a_container_that_removes_itself_takes_its_anonymous_volume(self):
        name = self.service("--rm", "-v", "/data")
        volume = self.mounts(name)[0]["Name"]
        self.docker("kill", name)
        eventually("both are gone", lambda: name not in self.names("-a") and volume not in self.volumes())

    def test_an_anonymous_volume_is_kept_over_a_restart(self):
        name = self.service("-v", "/data")
        self.docker("exec", name, "touch", "/data/f")
        self.docker("restart", "-t", "0", name)
        self.docker("exec", name, "ls", "/data/f")

    def test_a_container_takes_the_volumes_of_another(self):
        volume = self.volume()
        name = self.service("-v", f"{volume}:/data", "-v", "/own")
        self.shell("echo a >/data/f; echo b >/own/f", "--volumes-from", name)
        self.assertEqual(self.docker("exec", name, "cat", "/data/f", "/own/f").out, "a\nb\n")
        found = self.shell("cat /data/f; echo x >/data/f", "--volumes-from", f"{name}:ro", expect=1)
        self.assertEqual(found.out, "a\n")
        self.assertIn("Read-only file system", found.err)

    def test_volumes_are_taken_from_a_container_that_does_not_run(self):
        name, backup = self.name(), self.folder()
        self.docker("run", "--name", name, "-v", "/data", "busybox", "sh", "-c", "echo saved >/data/f")
        self.shell("tar cf /backup/all.tar -C /data .", "--volumes-from", name, "-v", f"{backup}:/backup")
        with tarfile.open(backup / "all.tar") as tar:
            self.assertEqual(tar.extractfile("./f").read(), b"saved\n")

    def test_inspecting_a_volume_shows_its_settings(self):
        volume = self.volume("--label", "a=b")
        shown = json.loads(self.docker("volume", "inspect", volume).out)[0]
        self.assertEqual((shown["Name"], shown["Driver"], shown["Scope"], shown["Labels"]),
                         (volume, "local", "local", {"a": "b"}))
        self.assertTrue(shown["Mountpoint"].endswith(f"/volumes/{volume}/_data"), shown["Mountpoint"])

    def test_inspecting_a_container_shows_its_volumes(self):
        volume = self.volume()
        name = self.name()
        self.docker("create", "--name", name, "-v", f"{volume}:/data:ro", "--mount", "type=tmpfs,target=/fast",
                    "busybox")
        self.assertEqual([(m["Type"], m["Name"], m["Destination"],
                           m["RW"]) for m in self.mounts(name) if m["Type"] == "volume"],
                         [("volume", volume, "/data", False)])
        self.assertEqual(self.names("-a", "--filter", f"volume={volume}"), {name})
        self.assertEqual(self.docker("ps", "-a", "--filter", f"volume={volume}", "--format", "{{.Mounts}}",
                                     "--no-trunc").line.strip(","), volume)

    def test_volumes_are_listed_by_label_use_and_name(self):
        label = ("--label", f"t={self.tag}")
        used, unused = self.volume(*label), self.volume(*label)
        self.docker("create", "--name", self.name(), "-v", f"{used}:/data", "busybox")
        mine = ("--filter", f"label=t={self.tag}")
        self.assertEqual(self.volumes(*mine), {used, unused})
        self.assertEqual(self.volumes(*mine, "--filter", "dangling=true"), {unused})
        self.assertEqual(self.volumes(*mine, "--filter", "dangling=false"), {used})
        self.assertEqual(self.volumes("--filter", f"name={used}"), {used})
        self.assertEqual(self.docker("volume", "ls", "--filter", f"name={used}", "--format",
                                     "{{.Name}} {{.Driver}} {{.Labels}}").line, f"{used} local t={self.tag}")

    def test_prune_removes_only_volumes_that_nobody_uses(self):
        made = [self.docker("volume", "create", "--label", f"t={self.tag}").line for _ in range(2)]
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", *made))
        name = self.name()
        self.docker("create", "--name", name, "-v", f"{made[0]}:/data", "busybox")
        found = self.docker("volume", "prune", "-f", "--filter", f"label=t={self.tag}")
        self.assertEqual(found.out.split("\n")[:2], ["Deleted Volumes:", made[1]])
        self.assertIn("Total reclaimed space:", found.out)
        self.assertEqual(self.volumes("--filter", f"label=t={self.tag}"), {made[0]})

    def test_a_volume_is_of_the_kind_that_its_driver_was_told(self):
        volume = self.volume("-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m")
        self.assertRegex(self.shell("df -k /data", "-v", f"{volume}:/data").out, r"tmpfs +1024 ")

    def test_the_long_form_mounts_a_volume_too(self):
        volume = self.volume()
        self.shell("echo x >/data/f", "--mount", f"type=volume,source={volume},target=/data")
        found = self.shell("cat /data/f; touch /data/g", "--mount", f"type=volume,src={volume},dst=/data,readonly",
                           expect=1)
        self.assertEqual(found.out, "x\n")

    def test_files_are_copied_to_a_volume_through_a_container_that_never_ran(self):
        volume, name, archive = self.volume(), self.name(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("said")
            member.size = 5
            tar.addfile(member, io.BytesIO(b"hello"))
        self.docker("create", "--name", name, "-v", f"{volume}:/data", "busybox")
        self.docker("cp", "-", f"{name}:/data", input=archive.getvalue(), text=False)
        self.docker("rm", name)
        self.assertEqual(self.shell("cat /data/said", "-v", f"{volume}:/data").out, "hello")

    def test_making_a_volume_again_is_not_an_error(self):
        volume = self.volume("--label", "a=b")
        self.assertEqual(self.docker("volume", "create", volume).line, volume)
        self.assertEqual(self.docker("volume", "inspect", "--format", "{{.Labels.a}}", volume).line, "b")

    def test_events_tell_of_a_volume_and_who_mounts_it(self):
        since = self.now()
        volume = self.volume()
        self.shell("true", "-v", f"{volume}:/data")
        self.docker("volume", "rm", volume)
        seen = self.docker("events", "--since", since, "--until", self.now(), "--filter", "type=volume", "--format",
                           "{{.Action}} {{.Actor.ID}}").out.splitlines()
        seen = [x.split()[0] for x in seen if x.endswith(f" {volume}")]
        # Some engines tell of the creation again when a container asks for the volume.
        self.assertEqual(list(dict.fromkeys(seen)), ["create", "mount", "unmount", "destroy"])
        self.assertEqual([seen.count(x) for x in ("mount", "unmount", "destroy")], [1, 1, 1])

    def test_events_tell_of_a_volume_that_a_run_makes_while_they_are_followed(self):
        name = f"{self.tag}-made"
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", name, expect=None))
        events = self.start("events", "--filter", "type=volume", "--filter", f"volume={name}", "--format", "{{json .}}",
                            stdin=subprocess.DEVNULL)
        time.sleep(0.5)  # nothing says that the stream stands
        container = self.name()
        self.docker("run", "--name", container, "-v", f"{name}:/data", "busybox", "true")
        ident = self.inspect(container, "{{.Id}}")
        self.docker("rm", container)
        self.docker("volume", "rm", name)
        seen = []
        while "destroy" not in seen:
            event = json.loads(events.stdout.readline())
            self.assertEqual(event["Actor"]["ID"], name)
            seen.append(event["Action"])
            if event["Action"] in ("mount", "unmount"):
                self.assertEqual(event["Actor"]["Attributes"]["container"], ident)
            if event["Action"] == "mount":
                self.assertEqual(event["Actor"]["Attributes"]["destination"], "/data")
        self.assertEqual({x: seen.count(x) for x in seen}, {"create": 1, "mount": 1, "unmount": 1, "destroy": 1})

    def test_an_anonymous_volume_is_like_any_other(self):
        name = self.service("-v", "/data")
        volume = self.mounts(name)[0]["Name"]
        shown = json.loads(self.docker("volume", "inspect", volume).out)[0]
        self.assertEqual((shown["Name"], shown["Driver"], shown["Scope"]), (volume, "local", "local"))
        self.assertNotIn(volume, self.volumes("--filter", "dangling=true"))
        self.assertIn("volume is in use", self.docker("volume", "rm", volume, expect=1).err)
        self.assertEqual(self.names("-a", "--filter", f"volume={volume}"), {name})
        self.docker("exec", name, "sh", "-c", "echo kept >/data/f")
        self.docker("rm", "-f", name)
        self.assertIn(volume, self.volumes("--filter", "dangling=true"))
        self.assertEqual(self.shell("cat /again/f", "-v", f"{volume}:/again").out, "kept\n")
        self.assertEqual(self.docker("volume", "rm", volume).line, volume)
        self.assertIn("no such volume", self.docker("volume", "inspect", volume, expect=1).err.lower())

    def test_a_volume_that_the_image_asks_for_is_listed_too(self):
        image, name = self.image(), self.name()
        self.docker("create", "--name", name, "busybox", "true")
        self.docker("commit", "--change", "VOLUME /kept", name, image)
        used = self.name()
        self.docker("run", "-d", "--name", used, image, "sleep", "600")
        [volume] = [m["Name"] for m in self.mounts(used) if m["Destination"] == "/kept"]
        self.assertIn(volume, self.volumes())
        self.docker("rm", "-f", "-v", used)
        self.assertNotIn(volume, self.volumes())

    def test_an_anonymous_volume_goes_with_the_last_that_uses_it(self):
        first, second = self.service("-v", "/data"), self.name()
        volume = self.mounts(first)[0]["Name"]
        self.docker("run", "-d", "--name", second, "--volumes-from", first, "busybox", "sleep", "600")
        self.docker("rm", "-f", "-v", first)
        self.assertIn(volume, self.volumes())
        self.docker("rm", "-f", "-v", second)
        self.assertNotIn(volume, self.volumes())

    def test_prune_takes_anonymous_volumes_that_nobody_uses(self):
        used, gone = self.service("-v", "/data"), self.service("-v", "/data")
        kept, left = (self.mounts(name)[0]["Name"] for name in (used, gone))
        self.docker("rm", "-f", gone)
        self.assertIn(left, self.docker("volume", "prune", "-f").out)
        self.assertLessEqual({kept}, self.volumes())
        self.assertNotIn(left, self.volumes())

    def test_what_is_wrong_with_a_volume_is_said(self):
        ghost = f"{self.tag}-ghost"
        for verb in ("rm", "inspect"):
            self.assertIn(f"get {ghost}: no such volume", self.docker("volume", verb, ghost, expect=1).err.lower())
        for option, words in (("a b:/x", '"a b" includes invalid characters for a local volume name'),
                              (f"{ghost}:/x:bad", "invalid mode: bad"), (f"{ghost}:x", "mount path must be absolute")):
            with self.subTest(option=option):
                self.assertIn(words, self.docker("run", "--rm", "-v", option, "busybox", expect=125).err)
        self.assertIn(f"No such container: {ghost}",
                      self.docker("run", "--rm", "--volumes-from", ghost, "busybox", expect=125).err)
        self.assertIn("Duplicate mount point: /x",
                      self.docker("run", "--rm", "-v", f"{ghost}:/x", "-v", "/tmp:/x", "busybox", expect=125).err)
