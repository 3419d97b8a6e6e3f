"""Lists and names: `docker ps` over the device and the fleet as if it were one engine."""

from fixture import PLAIN, Case, eventually, json_lines

STAY = ("--label", "lighter.policy=local")


class Lists(Case):
    def pair(self, *options):
        """A container here and one away (on a plain engine: both here)."""
        return self.service(*STAY, *options), self.service(*options)

    def test_containers_here_and_away_are_listed_together(self):
        here, away = self.pair()
        self.assert_at("edge1", here)
        self.assert_at("cloud1", away)
        self.assertLessEqual({here, away}, self.names())

    def test_only_running_ones_are_listed_unless_all_are_asked_for(self):
        done = self.name()
        self.docker("run", "--name", done, "busybox", "true")
        self.assertNotIn(done, self.names())
        self.assertIn(done, self.names("-a"))

    def test_the_newest_come_first_and_are_counted(self):
        made = [self.service(*STAY), self.service(), self.service(*STAY)]
        listed = self.docker("ps", "-n", "3", "--format", "{{.Names}}").out.split()
        self.assertEqual(listed, made[::-1])
        self.assertEqual(self.docker("ps", "-l", "--format", "{{.Names}}").line, made[-1])

    def test_quiet_lists_are_ids_that_other_commands_take(self):
        here, away = self.pair("--label", f"t={self.tag}")
        ids = self.docker("ps", "-q", "--no-trunc", "--filter", f"label=t={self.tag}").out.split()
        self.assertEqual(set(ids), {self.inspect(here, "{{.Id}}"), self.inspect(away, "{{.Id}}")})
        for ident in ids:
            self.assertEqual(self.docker("exec", ident[:12], "echo", "yes").line, "yes")

    def test_filters_by_name_label_status_and_id(self):
        here, away = self.pair("--label", f"t={self.tag}")
        ident = self.inspect(away, "{{.Id}}")
        self.docker("pause", away)
        mine = ("--filter", f"label=t={self.tag}")
        self.assertEqual(self.names("--filter", f"name={self.tag}"), {here, away})
        self.assertEqual(self.names("--filter", f"name=^/{here}$"), {here})
        self.assertEqual(self.names(*mine), {here, away})
        self.assertEqual(self.names(*mine, "--filter", "status=paused"), {away})
        self.assertEqual(self.names(*mine, "--filter", "status=running"), {here})
        self.assertEqual(self.names("--filter", f"id={ident[:16]}"), {away})
        self.assertEqual(self.names("--filter", f"label=t={self.tag}x"), set())

    def test_filters_by_exit_code_ancestor_and_age(self):
        bad, good = self.name(), self.name()
        self.docker("run", "--name", bad, "--label", f"t={self.tag}", "busybox", "sh", "-c", "exit 9", expect=9)
        self.docker("run", "--name", good, "--label", f"t={self.tag}", "busybox", "true")
        mine = ("-a", "--filter", f"label=t={self.tag}")
        self.assertEqual(self.names(*mine, "--filter", "exited=9"), {bad})
        self.assertEqual(self.names(*mine, "--filter", "ancestor=busybox"), {bad, good})
        self.assertEqual(self.names(*mine, "--filter", "ancestor=testbed/web"), set())
        self.assertEqual(self.names(*mine, "--filter", f"before={good}"), {bad})
        self.assertEqual(self.names(*mine, "--filter", f"since={bad}"), {good})

    def test_ages_are_told_apart_within_a_second(self):
        made = [self.name() for _ in range(4)]
        for name in made:
            self.docker("create", "--name", name, "--label", f"t={self.tag}", *(STAY if name == made[1] else ()),
                        "busybox", "true")
        mine = ("-a", "--filter", f"label=t={self.tag}")
        self.assertEqual(self.names(*mine, "--filter", f"since={made[1]}"), set(made[2:]))
        self.assertEqual(self.names(*mine, "--filter", f"before={made[2]}"), set(made[:2]))

    def test_an_unknown_filter_is_an_error(self):
        self.assertIn("invalid filter", self.docker("ps", "--filter", "colour=red", expect=1).err.lower())

    def test_formats_show_image_command_status_and_labels(self):
        here, away = self.pair("--label", f"t={self.tag}")
        found = json_lines(self.docker("ps", "--format", "{{json .}}", "--filter", f"label=t={self.tag}").out)
        self.assertEqual({c["Names"] for c in found}, {here, away})
        for container in found:
            self.assertEqual(container["Image"], "busybox")
            self.assertIn("sleep 600", container["Command"])
            self.assertTrue(container["Status"].startswith("Up "), container["Status"])
            self.assertIn(f"t={self.tag}", container["Labels"])

    def test_a_status_that_has_changed_is_in_the_next_list(self):
        _, away = self.pair()
        self.docker("stop", "-t", "0", away)
        self.assertNotIn(away, self.names())
        self.assertIn("Exited (137)", self.docker("ps", "-a", "--filter", f"name={away}").out)


class Prune(Case):
    def test_prune_removes_what_does_not_run_here_and_away(self):
        here, away, kept, running = self.name(), self.name(), self.name(), self.service("--label", f"t={self.tag}")
        for name, more in ((here, STAY), (away, ()), (kept, ("--label", "keep=1"))):
            self.docker("run", "--name", name, "--label", f"t={self.tag}", *more, "busybox", "true")
        mine = ("--filter", f"label=t={self.tag}")
        self.docker("container", "prune", "-f", *mine, "--filter", "until=1h")
        self.assertEqual(self.names("-a", *mine), {here, away, kept, running})
        found = self.docker("container", "prune", "-f", *mine, "--filter", "label!=keep")
        self.assertEqual(len([x for x in found.out.split() if len(x) == 64]), 2, found.out)
        self.assertEqual(self.names("-a", *mine), {kept, running})
        self.assertEqual(self.whereabouts(away), set())

    def test_prune_says_what_is_wrong_with_a_filter(self):
        self.service()
        self.assertIn("invalid filter 'colour'",
                      self.docker("container", "prune", "-f", "--filter", "colour=red", expect=1).err.lower())


class Names(Case):
    def test_a_name_is_taken_whether_its_container_is_here_or_away(self):
        for first, second in ((STAY, ()), ((), STAY), ((), ())):
            with self.subTest(first=first, second=second):
                name = self.service(*first)
                ident = self.inspect(name, "{{.Id}}")
                found = self.docker("run", "--rm", *second, "--name", name, "busybox", "true", expect=125)
                self.assertIn(f'Conflict. The container name "/{name}" is already in use by container "{ident}". '
                              "You have to remove (or rename) that container to be able to reuse that name.", found.err)

    def test_a_rename_to_a_taken_name_is_refused(self):
        here, away = self.service(*STAY), self.service()
        for old, new in ((here, away), (away, here)):
            self.assertIn("Error when allocating new name: Conflict. The container name", self.docker("rename", old, new, expect=1).err)

    def test_a_rename_to_its_own_name_is_refused(self):
        for name in (self.service(*STAY), self.service()):
            self.assertIn("Renaming a container with the same name", self.docker("rename", name, name, expect=1).err)

    def test_a_name_of_one_character_is_refused(self):
        for more in (STAY, ()):
            self.assertIn("Invalid container name (x)",
                          self.docker("create", *more, "--name", "x", "busybox", expect=1).err)

    def test_a_removed_name_is_free_again(self):
        name = self.service()
        self.docker("rm", "-f", name)
        self.docker("run", *STAY, "--name", name, "busybox", "true")

    def test_an_id_prefix_names_the_container(self):
        name = self.service()
        ident = self.inspect(name, "{{.Id}}")
        for reference in (ident, ident[:12], ident[:20]):
            self.assertEqual(self.inspect(reference, "{{.Name}}"), f"/{name}")

    def test_without_a_name_docker_gives_one(self):
        ident = self.docker("create", "busybox").line
        self.addCleanup(self.docker, "rm", ident)
        given = self.inspect(ident, "{{.Name}}")
        self.assertRegex(given, "^/[a-z]+_[a-z]+[0-9]*$")
        self.assertEqual(self.inspect(given[1:], "{{.Id}}"), ident)
