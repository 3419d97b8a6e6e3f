"""Compose 1.29, by its Python program."""

from composecase import ComposeCase, Files, Stack

COMPOSE = ("/usr/bin/python3", "/usr/bin/docker-compose")


class Compose1Stack(Stack, ComposeCase):
    command = COMPOSE


class Compose1Files(Files, ComposeCase):
    command = COMPOSE

    def test_scale_by_its_own_verb(self):
        self.write("services: {worker: {image: busybox, command: sleep 600, stop_grace_period: 0s}}\n")
        self.up()
        self.compose("scale", "worker=2")
        self.assertEqual(len(self.containers("worker")), 2)

    def test_a_file_of_version_2_with_volumes_from_and_a_link(self):
        self.write("""
            version: "2.4"
            services:
              store: {image: testbed/web, volumes: [/shared], stop_grace_period: 0s}
              main:
                image: testbed/python
                command: sleep 600
                volumes_from: [store]
                links: ["store:db"]
                stop_grace_period: 0s
            """)
        self.up()
        self.compose("exec", "-T", "store", "sh", "-c", "echo there > /shared/x")
        self.assertEqual(self.compose("exec", "-T", "main", "cat", "/shared/x").stdout, "there\n")
        ask = "import urllib.request as u; print(u.urlopen('http://db:8080/', timeout=5).status)"
        self.assertEqual(self.compose("exec", "-T", "main", "python3", "-c", ask).stdout, "200\n")
