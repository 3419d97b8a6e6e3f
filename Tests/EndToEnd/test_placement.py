"""Where containers go, and what goes with them."""

import json

from fixture import Case, eventually, lighter_only, remote_only


@lighter_only
class Placement(Case):
    @remote_only
    def test_a_container_goes_away_when_the_policy_says_so(self):
        self.assert_at("cloud1", self.service())

    def test_a_label_keeps_a_container_on_the_device(self):
        self.assert_at("edge1", self.service("--label", "lighter.policy=local"))

    @remote_only
    def test_a_label_names_the_target(self):
        self.assert_at("cloud1", self.service("--label", "lighter.target=cloud1"))
        self.assert_at("edge1", self.service("--label", "lighter.target=edge1"))

    def test_a_label_with_a_bad_value_is_refused_with_the_label_and_the_value(self):
        found = self.docker("run", "--rm", "--label", "lighter.policy=banana", "busybox", "true", expect=125)
        self.assertIn("lighter.policy", found.err)
        self.assertIn("banana", found.err)

    def test_a_target_that_does_not_exist_is_refused_with_its_name(self):
        found = self.docker("run", "--rm", "--label", "lighter.target=nowhere", "busybox", "true", expect=125)
        self.assertIn("nowhere", found.err)

    @remote_only
    def test_an_image_that_the_target_lacks_goes_with_the_container(self):
        image = "testbed/work:latest"
        self.docker("rmi", "-f", image, at="cloud1", engine=True, expect=None)
        name = self.name()
        found = self.docker("run", "--name", name, "testbed/work", "work", "1", timeout=180)
        self.assertRegex(found.out, r"\d")
        self.assert_at("cloud1", name)
        self.assertEqual(self.inspect(name, "{{.Config.Image}}"), "testbed/work")

    @remote_only
    def test_the_target_shows_whose_container_it_is(self):
        name = self.service()
        labels = json.loads(self.docker("inspect", "--format", "{{json .Config.Labels}}", f"{name}.edge1",
                                        at="cloud1", engine=True).out)
        self.assertEqual(labels["io.lighter.origin"], "edge1")
        self.assertEqual(labels["io.lighter.target"], "cloud1")
        self.assertEqual(labels["io.lighter.name"].removeprefix("/"), name)

    def test_what_reaches_into_its_host_does_not_leave_the_device(self):
        for option in (["--privileged"], ["--pid", "host"], ["-v", "/sys:/there"], ["--network", "host"],
                       ["--device", "/dev/null"], ["--ipc", "host"]):
            with self.subTest(option=option):
                name = self.name()
                self.docker("create", "--name", name, *option, "busybox", "true")
                self.assert_at("edge1", name)

    @remote_only
    def test_what_no_other_node_admits_runs_here_with_the_field_the_reason_and_a_remedy(self):
        for option, field in ((["--cap-add", "SYS_ADMIN"], "CapAdd"), (["--oom-kill-disable"], "OomKillDisable"),
                              (["--security-opt", "seccomp=unconfined"], "SecurityOpt"),
                              (["--ulimit", "memlock=-1"], "Ulimits"), (["--shm-size", "2g"], "ShmSize"),
                              (["--oom-score-adj", "-1"], "OomScoreAdj"), (["--tmpfs", "/t:size=2g"], "Tmpfs"),
                              (["--memory", "64m", "--memory-swap", "-1"], "MemorySwap"),
                              (["--sysctl", "net.ipv4.ip_forward=1"], "Sysctls")):
            with self.subTest(option=option):
                name = self.name()
                found = self.docker("create", "--name", name, *option, "busybox", "true")
                for part in ("WARNING: runs on edge1", field, "cloud1", "lighter.policy=local"):
                    self.assertIn(part, found.err)
                self.assert_at("edge1", name)
                explained = eventually("it is explained", lambda: self.fleet("cli", "explain", name, expect=None).out)
                self.assertRegex(explained, f"(?m)^cloud1 +refused .*node cloud1 does not admit .*{field}")

    @remote_only
    def test_what_the_node_that_is_named_does_not_admit_is_refused_with_its_reason(self):
        found = self.docker("run", "--rm", "--label", "lighter.target=cloud1", "--cap-add", "SYS_ADMIN", "busybox",
                            "true", expect=125)
        self.assertIn("lighter: node cloud1 does not admit HostConfig.CapAdd", found.err)

    @remote_only
    def test_what_is_not_admitted_beside_its_company_runs_here_and_is_told_so(self):
        network = self.network()
        self.assert_at("cloud1", self.service("--network", network))
        name = self.name()
        found = self.docker("create", "--name", name, "--network", network, "--cap-add", "SYS_ADMIN", "busybox", "true")
        self.assert_at("edge1", name)
        for part in ("does not admit HostConfig.CapAdd", "they do not reach one another"):
            self.assertIn(part, found.err)

    @remote_only
    def test_a_mount_that_spreads_nothing_goes_away_as_one_that_does_not_say_so(self):
        for option in ("bind-propagation=rprivate", "bind-propagation=private"):
            name = self.name()
            self.docker("create", "--name", name, "--mount", f"type=bind,source={self.folder()},target=/d,{option}",
                        "busybox", "true")
            self.assert_at("cloud1", name)

    @remote_only
    def test_what_stays_for_a_reason_of_its_own_is_told_to_the_user(self):
        name = self.name()
        found = self.docker("create", "--name", name, "-v", "/proc:/there", "busybox", "true")
        self.assertRegex(found.err, "(?i)warning.*bind mount /proc")

    @remote_only
    def test_what_runs_is_listed_and_explained_by_the_command_line(self):
        name = self.service()
        listed = json.loads(self.fleet("cli", "ps", "--format", "json").out)
        mine = eventually("it is listed", lambda: [w for w in json.loads(
            self.fleet("cli", "ps", "--format", "json").out) if w["name"] == name])
        self.assertIsInstance(listed, list)
        self.assertEqual((mine[0]["target"], mine[0]["origin"]), ("cloud1", "edge1"))
        explained = self.fleet("cli", "explain", name).out
        self.assertIn("cloud1", explained)
        self.assertIn("remote", explained)

    def test_a_name_that_was_used_before_means_the_container_that_is_there(self):
        name = self.name()
        for _ in range(2):
            self.docker("run", "--rm", "--name", name, "busybox", "true")
        self.docker("run", "-d", "--name", name, "--label", "lighter.policy=local", "busybox", "sleep", "60")
        eventually("it is known", lambda: "on edge1" in self.fleet("cli", "explain", name, expect=None).out)
        self.docker("rm", "-f", name)
        eventually("it is the last that was", lambda: "removed" in self.fleet("cli", "explain", name, expect=None).out)

    def test_explaining_what_does_not_exist_is_one_line(self):
        found = self.fleet("cli", "explain", f"{self.tag}-ghost", expect=1)
        self.assertEqual(len(found.err.strip().splitlines()), 1, found.err)

    def test_version_and_info_are_answered_for_the_device(self):
        self.assertRegex(self.docker("version", "--format", "{{.Server.Version}}").line, r"^\d+\.")
        self.assertTrue(self.docker("info", "--format", "{{.ServerVersion}}").line)


@remote_only
class FromTheTarget(Case):
    def test_what_others_sent_is_not_in_the_targets_own_lists_twice(self):
        name = self.service()
        listed = self.docker("ps", "-a", "--format", "{{.Names}}", at="cloud1").out.split()
        self.assertLessEqual(sum(name in n for n in listed), 1)
