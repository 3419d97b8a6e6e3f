"""What is shown: formats and filters of ps, inspect and events."""

import json

from fixture import Case, eventually, json_lines


class Inspect(Case):
    def test_a_list_of_names_gives_a_list_of_what_they_are(self):
        one, two = self.name(), self.name()
        for name in (one, two):
            self.docker("create", "--name", name, "busybox")
        self.assertEqual([c["Name"] for c in json.loads(self.docker("inspect", two, one).out)], [f"/{two}", f"/{one}"])

    def test_what_is_missing_is_said_and_the_rest_is_shown(self):
        name, ghost = self.name(), f"{self.tag}-ghost"
        self.docker("create", "--name", name, "busybox")
        found = self.docker("inspect", name, ghost, expect=1)
        self.assertEqual([c["Name"] for c in json.loads(found.out)], [f"/{name}"])
        self.assertIn(f"No such object: {ghost}", found.err)

    def test_the_kind_of_thing_can_be_named(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox")
        self.assertEqual(self.docker("inspect", "--type", "container", "--format", "{{.Name}}", name).line, f"/{name}")
        self.assertIn("No such image", self.docker("inspect", "--type", "image", name, expect=1).err)
        self.assertEqual(self.docker("inspect", "--type", "image", "--format", "{{index .RepoTags 0}}", "busybox").line,
                         "busybox:latest")
        self.assertIn("No such container: busybox", self.docker("container", "inspect", "busybox", expect=1).err)

    def test_sizes_are_shown_if_asked(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "dd", "if=/dev/zero", "of=/var/f", "bs=1000", "count=100")
        self.assertEqual(self.docker("inspect", "--size", "--format", "{{.SizeRw}}", name).line, "100000")
        self.assertRegex(self.docker("ps", "-a", "--size", "--filter", f"name={name}", "--format", "{{.Size}}").line,
                         r"^100kB \(virtual [\d.]+MB\)$")

    def test_a_template_can_loop_and_join(self):
        name = self.name()
        self.docker("create", "--name", name, "-e", "A=1", "-e", "B=2", "busybox", "x", "y")
        template = ('{{join .Config.Cmd "+"}} {{range .Config.Env}}{{if eq . "B=2"}}found{{end}}{{end}} {{len .Mounts}} '
                    "{{upper .Config.Image}}")
        self.assertEqual(self.inspect(name, template), "x+y found 0 BUSYBOX")

    def test_a_field_that_does_not_exist_is_an_error(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox")
        self.assertIn("NoSuch", self.docker("inspect", "--format", "{{.NoSuch}}", name, expect=1).err)

    def test_what_a_container_was_asked_to_be_is_all_shown(self):
        name = self.name()
        self.docker("create", "--name", name, "-it", "-u", "7:8", "-w", "/var", "--entrypoint", "sh", "--expose", "99",
                    "--stop-signal", "INT", "--stop-timeout", "7", "--read-only", "--cap-drop", "CAP_MKNOD",
                    "--tmpfs", "/fast", "--restart", "on-failure:4", "--group-add", "9", "--dns", "192.0.2.1",
                    "--add-host", "a:192.0.2.2", "--init", "--shm-size", "8m", "busybox", "-c", "true")
        shown = json.loads(self.docker("inspect", name).out)[0]
        config, host = shown["Config"], shown["HostConfig"]
        self.assertEqual({k: config[k] for k in ("Tty", "OpenStdin", "StdinOnce", "User", "WorkingDir", "Entrypoint",
                                                 "Cmd", "Image", "StopSignal", "StopTimeout",
                                                 "ExposedPorts")},
                         {"Tty": True, "OpenStdin": True, "StdinOnce": True, "User": "7:8", "WorkingDir": "/var",
                          "Entrypoint": ["sh"], "Cmd": ["-c", "true"], "Image": "busybox", "StopSignal": "INT",
                          "StopTimeout": 7, "ExposedPorts": {"99/tcp": {}}})
        self.assertEqual({k: host[k] for k in ("ReadonlyRootfs", "CapDrop", "Tmpfs", "RestartPolicy", "GroupAdd", "Dns",
                                               "ExtraHosts", "Init", "ShmSize", "Privileged", "AutoRemove")},
                         {"ReadonlyRootfs": True, "CapDrop": ["CAP_MKNOD"], "Tmpfs": {"/fast": ""}, "GroupAdd": ["9"],
                          "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4}, "Dns": ["192.0.2.1"],
                          "ExtraHosts": ["a:192.0.2.2"], "Init": True, "ShmSize": 8 << 20, "Privileged": False,
                          "AutoRemove": False})
        self.assertIn(host["NetworkMode"], ("default", "bridge"))  # the latter since Docker 26
        self.assertEqual((shown["Path"], shown["Args"], shown["Name"], shown["State"]["Status"]),
                         ("sh", ["-c", "true"], f"/{name}", "created"))

    def test_labels_are_those_that_were_given(self):
        name = self.name()
        self.docker("create", "--name", name, "--label", "mine=1", "busybox")
        labels = json.loads(self.inspect(name, "{{json .Config.Labels}}"))
        self.assertEqual({k: v for k, v in labels.items() if not k.startswith("io.lighter.")}, {"mine": "1"})


class Lists(Case):
    def listed(self, form, *args):
        return self.docker("ps", "-a", "--filter", f"name={self.tag}", "--format", form, *args).line

    def test_a_table_has_its_columns(self):
        self.service()
        lines = self.docker("ps", "--filter", f"name={self.tag}").out.splitlines()
        self.assertRegex(lines[0], r"^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$")
        self.assertRegex(lines[1], rf'^[0-9a-f]{{12}} +busybox +"sleep 600" +.* ago +Up .* {self.tag}-1$')

    def test_a_format_picks_its_columns(self):
        name = self.name()
        self.docker("create", "--name", name, "--label", "a=b", "busybox", "a", "very", "long", "command", "indeed")
        self.assertEqual(self.listed('{{.Names}}|{{.Image}}|{{.Label "a"}}|{{.State}}|{{.Status}}|{{.LocalVolumes}}|'
                                     "{{.Networks}}"), f"{name}|busybox|b|created|Created|0|bridge")
        self.assertEqual(self.listed("{{.Command}}"), '"a very long command…"')
        self.assertEqual(self.listed("{{.Command}}", "--no-trunc"), '"a very long command indeed"')
        self.assertEqual(self.listed("table {{.Names}}\t{{.State}}").split(), ["NAMES", "STATE", name, "created"])

    def test_labels_are_matched_by_key_and_by_value_and_all_must_match(self):
        one, two = self.name(), self.name()
        self.docker("create", "--name", one, "--label", f"{self.tag}=1", "--label", "a=b", "busybox")
        self.docker("create", "--name", two, "--label", f"{self.tag}=2", "busybox")
        self.assertEqual(self.names("-a", "--filter", f"label={self.tag}"), {one, two})
        self.assertEqual(self.names("-a", "--filter", f"label={self.tag}=2"), {two})
        self.assertEqual(self.names("-a", "--filter", f"label={self.tag}", "--filter", "label=a=b"), {one})

    def test_values_of_one_filter_are_alternatives(self):
        created, running, gone = self.name(), self.service(), self.name()
        self.docker("create", "--name", created, "busybox")
        self.docker("run", "--name", gone, "busybox", "true")
        mine = ("-a", "--filter", f"name={self.tag}")
        self.assertEqual(self.names(*mine, "--filter", "status=created", "--filter", "status=exited"), {created, gone})
        self.assertEqual(self.names(*mine, "--filter", "status=running", "--filter", "exited=0"), set())
        self.assertEqual(self.names("-a", "--filter", f"name=^{created}$", "--filter", f"name=^{running}$"),
                         {created, running})

    def test_a_status_that_is_unknown_is_refused(self):
        self.assertIn("Invalid filter 'status=dreaming'",
                      self.docker("ps", "--filter", "status=dreaming", expect=1).err.replace("invalid", "Invalid"))

    def test_what_exposes_a_port_is_found(self):
        name = self.service("--expose", "4711")
        self.docker("create", "--name", self.name(), "busybox")
        self.assertEqual(self.names("-a", "--filter", "expose=4711", "--filter", f"name={self.tag}"), {name})

    def test_a_count_is_of_the_newest_whatever_their_state(self):
        first, last = self.name(), self.name()
        for name in (first, last):
            self.docker("create", "--name", name, "busybox")
        self.assertEqual(self.docker("ps", "--last", "2", "--format", "{{.Names}}").out.split(), [last, first])

    def test_ids_are_whole_if_asked(self):
        name = self.name()
        ident = self.docker("create", "--name", name, "busybox").line
        self.assertEqual(self.listed("{{.ID}}"), ident[:12])
        self.assertEqual(self.listed("{{.ID}}", "--no-trunc"), ident)


class Events(Case):
    def events(self, since, *filters, form="{{.Type}} {{.Action}}"):
        return self.docker("events", "--since", since, "--until", self.now(), *filters, "--format",
                           form).out.splitlines()

    def test_a_whole_life_is_told_in_order(self):
        since, name = self.now(), self.name()
        self.docker("create", "--name", name, "busybox", "sh", "-c",
                    "trap 'exit 0' USR1; echo ready; while :; do sleep 0.05; done")
        self.docker("start", name)
        eventually("ready", lambda: "ready" in self.docker("logs", name).out)
        for verb in (("pause",), ("unpause",), ("kill", "-s", "USR1"), ("wait",)):
            self.docker(*verb, name)
        self.docker("rename", name, f"{name}x")
        self.docker("rm", f"{name}x")
        seen = self.events(since, "--filter", "type=container", "--filter", f"container={name}", "--filter",
                           f"container={name}x")
        self.assertEqual([x.split()[1] for x in seen],
                         ["create", "start", "pause", "unpause", "kill", "die", "rename", "destroy"])

    def test_an_event_tells_of_its_container(self):
        since, name = self.now(), self.name()
        self.docker("run", "--name", name, "--label", "a=b", "busybox", "sh", "-c", "exit 3", expect=3)
        found = json_lines(self.docker("events", "--since", since, "--until", self.now(), "--filter",
                                       f"container={name}",
                                       "--filter", "event=die", "--format", "{{json .}}").out)
        self.assertEqual(len(found), 1)
        self.assertEqual((found[0]["Type"], found[0]["id"], found[0]["from"]),
                         ("container", self.inspect(name, "{{.Id}}"), "busybox"))
        attributes = found[0]["Actor"]["Attributes"]
        self.assertEqual((attributes["a"], attributes["exitCode"], attributes["name"]), ("b", "3", name))

    def test_execs_are_told_with_their_command_and_code(self):
        name = self.service()
        since = self.now()
        self.docker("exec", name, "sh", "-c", "exit 2", expect=2)
        seen = self.events(since, "--filter", f"container={name}", form="{{.Action}} {{.Actor.Attributes.exitCode}}")
        self.assertEqual([x.split(": ")[0].split()[0] for x in seen], ["exec_create", "exec_start", "exec_die"])
        self.assertIn("sh -c exit 2", seen[0])
        self.assertTrue(seen[2].endswith(" 2"), seen)

    def test_events_are_picked_by_image_kind_and_label(self):
        since, name = self.now(), self.name()
        self.docker("run", "--name", name, "--label", f"t={self.tag}", "busybox", "true")
        mine = ("--filter", f"label=t={self.tag}")
        self.assertIn("container start", self.events(since, *mine, "--filter", "image=busybox"))
        self.assertEqual(self.events(since, *mine, "--filter", "image=testbed/web"), [])
        self.assertEqual(self.events(since, *mine, "--filter", "type=network"), [])
        self.assertEqual(set(self.events(since, *mine, "--filter", "event=create", "--filter", "event=start")),
                         {"container create", "container start"})

    def test_a_kill_out_of_memory_is_told(self):
        since, name = self.now(), self.name()
        self.docker("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", "busybox", "tail", "/dev/zero",
                    expect=137)
        # Engines hear of it by another way than of the end, sometimes after it.
        eventually("it is told", lambda: "container oom" in self.events(since, "--filter", f"container={name}"))

    def test_events_of_images_are_told(self):
        since, image = self.now(), self.image()
        self.docker("tag", "busybox", image)
        self.docker("rmi", image)
        seen = self.events(since, "--filter", "type=image", form="{{.Action}} {{.Actor.Attributes.name}}")
        self.assertIn(f"tag {image}", seen)
        self.assertIn("untag", {x.split()[0] for x in seen})
