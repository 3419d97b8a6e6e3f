"""What a container is given at its creation: environment, user, folder, entry point, limits and file systems."""

from fixture import Case, eventually


class Environment(Case):
    def test_variables_come_from_options_from_a_file_and_from_the_client(self):
        file = self.folder() / "env"
        file.write_text("# a comment\nFILE=from a file\nBOTH=file\nTERM\n\n")
        found = self.shell("echo $FILE; echo $BOTH; echo $TERM; echo $DOCKER_HOST", "--env-file", file,
                           "-e", "BOTH=option", "-e", "DOCKER_HOST")
        self.assertEqual(found.out.splitlines(), ["from a file", "option", "xterm", self.world.front_doors["edge1"]])

    def test_a_value_may_hold_anything_and_may_be_empty(self):
        value = "a=b 'c' \"d\" $e \\ \n é ✓"
        found = self.shell('printf %s "$A"; printf "<%s>" "${B-unset}" "${C-unset}"', "-e", f"A={value}", "-e", "B=")
        self.assertEqual(found.out, f"{value}<><unset>")

    def test_a_variable_of_the_image_can_be_changed(self):
        self.assertEqual(self.shell("echo $PATH", "-e", "PATH=/bin").out, "/bin\n")

    def test_a_file_of_variables_that_is_missing_is_said(self):
        found = self.docker("run", "--rm", "--env-file", "/no/such", "busybox", "true", expect=125)
        self.assertIn("open /no/such: no such file or directory", found.err)

    def test_the_host_name_is_the_short_id_unless_it_is_set(self):
        name = self.service()
        self.assertEqual(self.docker("exec", name, "hostname").line, self.inspect(name, "{{.Id}}")[:12])

    def test_labels_come_from_options_and_from_a_file(self):
        file, name = self.folder() / "labels", self.name()
        file.write_text("a=1\nb\n")
        self.docker("create", "--name", name, "--label-file", file, "--label", "c=x y", "busybox")
        self.assertEqual(self.inspect(name, '{{index .Config.Labels "a"}}|{{index .Config.Labels "b"}}|'
                                            '{{index .Config.Labels "c"}}'), "1||x y")


class Commands(Case):
    def test_an_entry_point_takes_the_command_as_its_arguments(self):
        self.assertEqual(self.docker("run", "--rm", "--entrypoint", "echo", "busybox", "a", "b c").out, "a b c\n")
        self.assertEqual(self.docker("run", "--rm", "--entrypoint", "", "busybox", "echo", "none").out, "none\n")

    def test_without_a_command_the_images_own_is_run(self):
        self.assertEqual(self.docker("run", "--rm", "-i", "busybox", input="echo its shell\n").out, "its shell\n")

    def test_arguments_arrive_as_they_are(self):
        given = ["", " a  b ", "*", "$HOME", "\"'\\", "é✓", "-x"]
        found = self.docker("run", "--rm", "busybox", "sh", "-c", 'for a; do echo "<$a>"; done', "sh", *given)
        self.assertEqual(found.out.splitlines(), [f"<{a}>" for a in given])

    def test_a_working_folder_is_made_and_must_be_absolute(self):
        self.assertEqual(self.docker("run", "--rm", "-w", "/new/folder", "busybox", "pwd").out, "/new/folder\n")
        found = self.docker("run", "--rm", "-w", "relative", "busybox", "pwd", expect=125)
        self.assertIn("the working directory 'relative' is invalid, it needs to be an absolute path", found.err)

    def test_an_init_process_reaps_and_passes_signals_on(self):
        name = self.service("--init", command=("sleep", "600"))
        # A sleep that is process 1 would be deaf to TERM.
        self.assertIn("docker-init", self.docker("exec", name, "cat", "/proc/1/cmdline").out)
        self.docker("stop", "-t", "30", name)
        self.assertEqual(self.inspect(name, "{{.State.ExitCode}}"), "143")

    def test_the_id_is_written_to_a_file_that_must_not_be_there(self):
        file, name = self.folder() / "id", self.name()
        self.docker("run", "--cidfile", file, "--name", name, "busybox", "true")
        self.assertEqual(file.read_text(), self.inspect(name, "{{.Id}}"))
        found = self.docker("run", "--cidfile", file, "busybox", "true", expect=125)
        self.assertIn("container ID file found", found.err)


class Users(Case):
    def test_a_user_is_known_by_name_or_number_with_a_group(self):
        found = self.docker("run", "--rm", "-u", "nobody", "busybox", "id")
        self.assertTrue(found.out.startswith("uid=65534(nobody) gid=65534"), found.out)
        self.assertIn("uid=1234 gid=4321", self.docker("run", "--rm", "-u", "1234:4321", "busybox", "id").out)

    def test_a_user_is_of_further_groups(self):
        found = self.docker("run", "--rm", "-u", "1234", "--group-add", "777", "--group-add", "888", "busybox", "id",
                            "-G")
        self.assertLessEqual({"777", "888"}, set(found.out.split()))

    def test_an_unknown_user_is_said(self):
        found = self.docker("run", "--rm", "-u", "odysseus", "busybox", "id", expect=125)
        self.assertIn("unable to find user odysseus: no matching entries in passwd file", found.err)

    def test_capabilities_can_be_dropped_and_given_again(self):
        self.shell("chown 1:1 /tmp", "--cap-drop", "ALL", expect=1)
        self.shell("chown 1:1 /tmp", "--cap-drop", "ALL", "--cap-add", "CHOWN")
        self.shell("chroot / true", "--cap-drop", "SYS_CHROOT", expect=1)

    def test_new_privileges_can_be_forbidden(self):
        found = self.shell("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
        self.assertEqual(found.out.split(), ["NoNewPrivs:", "1"])


class FileSystems(Case):
    def test_a_read_only_root_has_writable_places_only_where_asked_for(self):
        found = self.shell("touch /var/x; touch /fast/y && echo made", "--read-only", "--tmpfs", "/fast")
        self.assertIn("Read-only file system", found.err)
        self.assertEqual(found.out, "made\n")

    def test_a_file_system_in_memory_has_the_size_and_mode_that_were_asked_for(self):
        found = self.shell("df -k /fast | tail -1; stat -c %a /fast; dd if=/dev/zero of=/fast/x bs=1k count=2000 2>&1 | "
                           "grep -o 'No space.*'", "--tmpfs", "/fast:size=1m,mode=700")
        self.assertRegex(found.out, r"^tmpfs +1024 ")
        self.assertEqual(found.out.splitlines()[1:], ["700", "No space left on device"])

    def test_the_long_form_mounts_a_file_system_in_memory_too(self):
        found = self.shell("df -k /fast | tail -1; stat -c %a /fast", "--mount",
                           "type=tmpfs,target=/fast,tmpfs-size=2097152,tmpfs-mode=1777")
        self.assertRegex(found.out, r"^tmpfs +2048 (.*\n)1777\n$")

    def test_what_is_in_memory_is_gone_after_a_restart(self):
        name = self.service("--tmpfs", "/fast")
        self.docker("exec", name, "touch", "/fast/x", "/var/y")
        self.docker("restart", "-t", "0", name)
        self.assertEqual(self.docker("exec", name, "ls", "/fast").out, "")
        self.docker("exec", name, "ls", "/var/y")

    def test_shared_memory_has_the_size_that_was_asked_for(self):
        self.assertRegex(self.shell("df -k /dev/shm | tail -1", "--shm-size", "8m").out, r"^shm +8192 ")

    def test_a_relative_path_for_a_file_system_is_refused(self):
        self.docker("run", "--rm", "--tmpfs", "fast", "busybox", "true", expect=125)


class Limits(Case):
    CGROUPS = "cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}"

    def limit(self, v1, v2, *options):
        """A limit as the container's own control group has it."""
        return self.shell(self.CGROUPS.format(v1=v1, v2=v2), *options).line

    def test_memory_is_limited(self):
        self.assertEqual(self.limit("memory/memory.limit_in_bytes", "memory.max", "--memory", "32m"), str(32 << 20))

    def test_the_cpu_is_limited(self):
        found = self.limit("cpu/cpu.cfs_quota_us", "cpu.max", "--cpus", "0.25")
        self.assertEqual(found.split()[0], "25000")

    def test_processes_are_limited(self):
        self.assertEqual(self.limit("pids/pids.max", "pids.max", "--pids-limit", "20"), "20")
        found = self.shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", "--pids-limit", "5", expect=2)
        self.assertIn("can't fork", found.err)

    def test_limits_of_a_process_are_as_asked(self):
        found = self.shell("ulimit -n; ulimit -Hn; ulimit -c", "--ulimit", "nofile=123:456", "--ulimit", "core=0")
        self.assertEqual(found.out.split(), ["123", "456", "0"])

    def test_a_container_that_takes_too_much_memory_is_killed_and_says_so(self):
        name = self.name()
        self.docker("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", "busybox", "tail", "/dev/zero",
                    expect=137)
        # Engines hear of it by another way than of the end, sometimes after it.
        eventually("it is said", lambda: self.inspect(name, "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137")

    def test_a_kernel_setting_of_its_own_network_is_as_asked(self):
        self.assertEqual(self.shell("cat /proc/sys/net/ipv4/ip_local_port_range", "--sysctl",
                                    "net.ipv4.ip_local_port_range=40000 41000").out.split(), ["40000", "41000"])

    def test_what_was_asked_for_is_shown(self):
        name = self.name()
        self.docker("create", "--name", name, "--memory", "64m", "--memory-reservation", "32m", "--cpu-shares", "512",
                    "--cpus", "0.2", "--pids-limit", "50", "--cpuset-cpus", "0", "--oom-score-adj", "300", "busybox")
        self.assertEqual(self.inspect(name, "{{with .HostConfig}}{{.Memory}} {{.MemoryReservation}} {{.CpuShares}} "
                                            "{{.NanoCpus}} {{.PidsLimit}} {{.CpusetCpus}} {{.OomScoreAdj}}{{end}}"),
                         f"{64 << 20} {32 << 20} 512 200000000 50 0 300")

    def test_an_update_reaches_the_running_container(self):
        name = self.service("--memory", "64m", "--memory-swap", "64m", "--pids-limit", "50")
        self.docker("update", "--pids-limit", "60", "--cpu-shares", "256", name)
        self.assertEqual(self.inspect(name, "{{.HostConfig.PidsLimit}} {{.HostConfig.CpuShares}}"), "60 256")
        self.assertEqual(self.docker("exec", name, "sh", "-c", self.CGROUPS.format(
            v1="pids/pids.max", v2="pids.max")).line, "60")

    def test_several_are_updated_at_once_also_while_they_do_not_run(self):
        names = [self.name(), self.name()]
        for name in names:
            self.docker("create", "--name", name, "busybox")
        self.assertEqual(self.docker("update", "--memory", "48m", "--memory-swap", "96m", *names).out.split(), names)
        self.assertEqual({self.inspect(name, "{{.HostConfig.Memory}}") for name in names}, {str(48 << 20)})

    def test_limits_that_make_no_sense_are_refused(self):
        for options, words in ((("--memory", "1m"), "Minimum memory limit allowed is"),
                               (("--memory", "64m", "--memory-swap", "32m"),
                                "Minimum memoryswap limit should be larger"),
                               (("--memory", "16m", "--memory-reservation", "32m"),
                                "Minimum memory limit can not be less"),
                               (("--cpus", "999"), "Range of CPUs is from 0.01 to"),
                               (("--cpuset-cpus", "999"), "Requested CPUs are not available"),
                               (("--pids-limit", "20", "--ulimit", "nofile=5:1"),
                                "ulimit soft limit must be less than")):
            with self.subTest(options=options):
                self.assertIn(words, self.docker("run", "--rm", *options, "busybox", "true", expect=125).err)
