"""Health checks and restart policies: what an engine does to a container by itself."""

import json
import subprocess

from fixture import Case, eventually

QUICK = ("--health-interval", "200ms", "--health-retries", "2", "--health-timeout", "5s")


class Health(Case):
    def health(self, name):
        return self.inspect(name, "{{.State.Health.Status}}")

    def test_health_goes_from_starting_to_bad_and_to_good(self):
        name = self.service("--health-interval", "1s", "--health-retries", "2", "--health-cmd",
                            "echo looked; test -e /fine")
        self.assertEqual(self.health(name), "starting")
        eventually("it is unhealthy", lambda: self.names("--filter", "health=unhealthy", "--filter", f"name={name}"))
        self.assertIn("(unhealthy)", self.docker("ps", "--filter", f"name={name}", "--format", "{{.Status}}").line)
        shown = json.loads(self.inspect(name, "{{json .State.Health}}"))
        self.assertGreaterEqual(shown["FailingStreak"], 2)
        self.assertEqual((shown["Log"][-1]["ExitCode"], shown["Log"][-1]["Output"]), (1, "looked\n"))
        self.docker("exec", name, "touch", "/fine")
        eventually("it is healthy", lambda: self.names("--filter", "health=healthy", "--filter", f"name={name}"))
        self.assertEqual(self.inspect(name, "{{.State.Health.FailingStreak}}"), "0")

    def test_a_check_that_takes_too_long_has_failed(self):
        name = self.service("--health-interval", "100ms", "--health-timeout", "200ms", "--health-retries", "1",
                            "--health-cmd", "sleep 30")
        eventually("it is unhealthy", lambda: self.health(name) == "unhealthy")
        self.assertIn("exceeded timeout", self.inspect(name, "{{(index .State.Health.Log 0).Output}}"))

    def test_events_tell_of_health(self):
        name = self.name()
        process = self.start("events", "--filter", f"container={name}", "--filter", "event=health_status", "--format",
                             "{{.Action}}", "--since", self.now(), stdin=subprocess.DEVNULL)
        self.docker("run", "-d", "--name", name, *QUICK, "--health-cmd", "true", "busybox", "sleep", "600")
        self.assertEqual(process.stdout.readline(), b"health_status: healthy\n")

    def test_the_check_of_an_image_can_be_switched_off(self):
        image, name, off = self.image(), self.name(), self.name()
        self.docker("build", "-t", image, "-",
                    input="FROM busybox\nHEALTHCHECK --interval=200ms CMD true\nCMD sleep 600\n")
        self.docker("run", "-d", "--name", name, image)
        self.docker("run", "-d", "--name", off, "--no-healthcheck", image)
        eventually("it is healthy", lambda: self.health(name) == "healthy")
        self.assertEqual(self.inspect(off, "{{json .State.Health}} {{.Config.Healthcheck.Test}}"), "null [NONE]")
        self.assertEqual(self.names("--filter", "health=none", "--filter", f"name={self.tag}"), {off})


class Restarts(Case):
    def restarts(self, name):
        return int(self.inspect(name, "{{.RestartCount}}"))

    def test_what_fails_is_started_again_as_often_as_asked(self):
        name = self.service("--restart", "on-failure:2", command=("sh", "-c", "echo tried; exit 3"))
        eventually("it is given up", lambda: self.inspect(name, "{{.State.Status}} {{.RestartCount}}") == "exited 2")
        self.assertEqual(self.docker("logs", name).out, "tried\n" * 3)
        self.assertEqual(self.docker("wait", name).line, "3")

    def test_what_ends_well_is_not_started_again_on_failure(self):
        name = self.service("--restart", "on-failure", command=("true",))
        self.assertEqual(self.docker("wait", name).line, "0")
        self.assertEqual((self.state(name), self.restarts(name)), ("exited", 0))

    def test_what_is_to_run_always_is_started_again_after_its_end(self):
        script = "echo begun; until [ -e /go ]; do sleep 0.05; done; rm /go"
        name = self.service("--restart", "always", command=("sh", "-c", script))
        first = self.inspect(name, "{{.State.StartedAt}}")
        self.docker("exec", name, "touch", "/go")
        eventually("the second start", lambda: self.docker("logs", name).out == "begun\n" * 2)
        eventually("it runs", lambda: self.state(name) == "running")
        self.assertEqual(self.inspect(name, "{{.RestartCount}} {{.Id}}").split()[0], "1")
        self.assertNotEqual(self.inspect(name, "{{.State.StartedAt}}"), first)

    def test_what_a_user_stops_stays_stopped(self):
        for verb in (("stop", "-t", "0"), ("kill",)):
            with self.subTest(verb=verb[0]):
                name = self.service("--restart", "unless-stopped")
                self.docker(*verb, name)
                self.assertEqual(self.docker("wait", name).line, "137")
                self.assertEqual((self.state(name), self.restarts(name)), ("exited", 0))

    def test_an_update_changes_the_policy(self):
        name = self.service(command=("sh", "-c", "until [ -e /go ]; do sleep 0.05; done; exit 1"))
        self.docker("update", "--restart", "on-failure:1", name)
        self.docker("exec", name, "touch", "/go")
        self.assertEqual(self.inspect(name, "{{.HostConfig.RestartPolicy}}"), "{on-failure 1}")
        eventually("it was started again", lambda: self.restarts(name) == 1)

    def test_a_container_between_two_starts_says_so_and_can_be_removed(self):
        name = self.service("--restart", "always", command=("false",))
        mine = ("--filter", "status=restarting", "--filter", f"name={name}")
        eventually("it is between two starts", lambda: self.names(*mine))
        self.docker("rm", "-f", name)
        self.assertNotIn(name, self.names("-a"))

    def test_policies_that_make_no_sense_are_refused(self):
        for options, words in ((("--restart", "sometimes"), "invalid restart policy"),
                               (("--restart", "always:3"), "maximum ret"),
                               (("--restart", "always", "--rm"), "cannot specify both --restart and --rm")):
            with self.subTest(options=options):
                self.assertIn(words, self.docker("run", *options, "--name", self.name(), "busybox", "true",
                                                 expect=125).err)
