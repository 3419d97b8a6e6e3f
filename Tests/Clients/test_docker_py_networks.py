"""docker-py: user-defined networks, and names that resolve on them."""

import docker
from clientcase import Case, eventually
from docker.types import IPAMConfig, IPAMPool

# Names are asked for by Python: a static busybox has a resolver that crashes.
ASK = "import sys,urllib.request as u; print(u.urlopen(f'http://{sys.argv[1]}/', timeout=3).read().decode().strip())"
RESOLVE = "import sys,socket; print(socket.gethostbyname(sys.argv[1]))"
SERVE = ["sh", "-c", "mkdir /www; echo from $(hostname) > /www/index.html; exec httpd -f -p 80 -h /www"]


class Networks(Case):
    def client_(self, **options):
        """A container that can ask."""
        return self.start(image="testbed/python", **options)

    def asks(self, container, name):
        """What a container gets from another by its name."""
        def attempt():
            found = container.exec_run(["python3", "-c", ASK, name])
            return found.exit_code == 0 and found.output.decode().strip()
        return eventually(f"an answer of {name}", attempt)

    def resolves(self, container, name):
        return container.exec_run(["python3", "-c", RESOLVE, name]).exit_code == 0

    def test_create_inspect_list_and_remove(self):
        network = self.network(labels={"a": self.tag}, options={"com.docker.network.bridge.enable_icc": "true"})
        for ref in (network.id, network.name, network.short_id):
            self.assertEqual(self.client.networks.get(ref).id, network.id)
        network.reload()
        self.assertEqual(network.attrs["Driver"], "bridge")
        self.assertEqual(network.attrs["Labels"], {"a": self.tag})
        self.assertEqual([n.id for n in self.client.networks.list(names=[network.name])], [network.id])
        self.assertEqual([n.id for n in self.client.networks.list(ids=[network.id])], [network.id])
        self.assertEqual([n.id for n in self.client.networks.list(filters={"label": f"a={self.tag}"})], [network.id])
        network.remove()
        self.assertEqual(self.client.networks.list(names=[network.name]), [])

    def test_the_engines_own_networks_are_there(self):
        self.assertLessEqual({"bridge", "host", "none"}, {n.name for n in self.client.networks.list()})

    def test_a_name_taken_is_a_conflict_when_asked_for(self):
        network = self.network()
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.networks.create(network.name, check_duplicate=True)
        self.assertEqual(caught.exception.status_code, 409)

    def test_containers_find_each_other_by_name(self):
        network = self.network()
        server = self.start(SERVE, network=network.name, hostname="server")
        client = self.client_(network=network.name)
        self.assertEqual(self.asks(client, server.name), "from server")
        self.assertTrue(self.resolves(client, client.name))
        for container in (server, client):
            self.assert_away(container)

    def test_aliases_given_at_create_and_at_connect(self):
        network = self.network()
        api = self.client.api
        config = api.create_networking_config({network.name: api.create_endpoint_config(aliases=["db", "other"])})
        made = api.create_container("busybox", SERVE, name=self.name(), hostname="one", networking_config=config,
                                    host_config=api.create_host_config(network_mode=network.name))
        self.owned(self.client.containers.get(made["Id"])).start()
        late = self.create(SERVE, hostname="two")
        network.connect(late, aliases=["late"])
        late.start()
        client = self.client_(network=network.name)
        for name, who in (("db", "one"), ("other", "one"), ("late", "two")):
            self.assertEqual(self.asks(client, name), f"from {who}")

    def test_a_running_container_is_connected_and_disconnected(self):
        network = self.network()
        server = self.start(SERVE, network=network.name, hostname="server")
        client = self.client_()
        self.assertFalse(self.resolves(client, server.name))
        network.connect(client, aliases=["guest"])
        self.assertEqual(self.asks(client, server.name), "from server")
        other = self.client_(network=network.name)
        self.assertTrue(self.resolves(other, "guest"))
        client.reload()
        self.assertEqual(set(client.attrs["NetworkSettings"]["Networks"]), {"bridge", network.name})
        network.disconnect(client)
        client.reload()
        self.assertEqual(set(client.attrs["NetworkSettings"]["Networks"]), {"bridge"})
        self.assertFalse(self.resolves(client, server.name))

    def test_networks_are_apart(self):
        one, two = self.network(), self.network()
        server = self.start(SERVE, network=one.name)
        client = self.client_(network=two.name)
        self.assertFalse(self.resolves(client, server.name))
        two.connect(server, aliases=["bridged"])
        self.assertIn("from", self.asks(client, "bridged"))

    def test_a_network_lists_its_containers(self):
        network = self.network()
        containers = [self.start(network=network.name) for _ in range(2)]
        network.reload()
        self.assertEqual({c.id for c in network.containers}, {c.id for c in containers})
        self.assertEqual({c["Name"] for c in network.attrs["Containers"].values()}, {c.name for c in containers})
        found = self.client.containers.list(filters={"network": network.name})
        self.assertEqual({c.id for c in found}, {c.id for c in containers})
        found = self.client.networks.list(names=[network.name], greedy=True)[0].containers
        self.assertEqual({c.id for c in found}, {c.id for c in containers})

    def test_a_subnet_and_an_address_of_the_users_choice(self):
        network = self.network(ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.222.7.0/24", gateway="10.222.7.1")]))
        container = self.create()
        network.connect(container, ipv4_address="10.222.7.77")
        self.client.networks.get("bridge").disconnect(container)
        container.start()
        self.assertIn(b"10.222.7.77", container.exec_run("ip addr").output)
        container.reload()
        self.assertEqual(container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"], "10.222.7.77")

    def test_an_internal_network_is_one(self):
        network = self.network(internal=True)
        server = self.start(SERVE, network=network.name, hostname="server")
        network.reload()
        self.assertTrue(network.attrs["Internal"])
        self.assertEqual(self.asks(self.client_(network=network.name), server.name), "from server")

    def test_a_published_port_of_a_container_on_a_network(self):
        network = self.network()
        container = self.start(SERVE, network=network.name, ports={"80/tcp": None}, hostname="server")
        container.reload()
        self.assertEqual(self.fetch(container.ports["80/tcp"][0]["HostPort"]).strip(), "from server")

    def test_a_container_in_anothers_network(self):
        server = self.start(SERVE, hostname="server")
        guest = self.client_(network_mode=f"container:{server.id}")
        self.assertEqual(self.asks(guest, "127.0.0.1"), "from server")

    def test_a_link_to_another_container(self):
        server = self.start(SERVE, hostname="server")
        client = self.client_(links={server.name: "db"})
        self.assertEqual(self.asks(client, "db"), "from server")

    def test_links_and_aliases_are_shown_as_they_were_given(self):
        network = self.network()
        server, client = self.start(network=network.name), self.create(network=network.name)
        network.disconnect(client)
        network.connect(client, aliases=["other"], links=[(server.name, "db")])
        client.start()
        client.reload()
        found = client.attrs["NetworkSettings"]["Networks"][network.name]
        self.assertEqual((found["Links"], set(found["Aliases"]) - {client.short_id}), ([f"{server.name}:db"], {"other"}))

    def test_no_network_and_the_hosts(self):
        self.assertEqual(self.start(network_mode="none").exec_run("ls /sys/class/net").output, b"lo\n")
        self.assertIn(b"docker0", self.start(network_mode="host").exec_run("ls /sys/class/net").output)

    def test_a_network_in_use_is_not_removed(self):
        network = self.network()
        container = self.start(network=network.name)
        with self.assertRaises(docker.errors.APIError) as caught:
            network.remove()
        self.assertEqual(caught.exception.status_code, 403)
        self.assertIn("active endpoints", caught.exception.explanation)
        container.remove(force=True)
        network.remove()

    def test_prune_removes_the_unused_that_the_filter_names(self):
        used, unused, other = (self.network(labels={"group": self.tag}), self.network(labels={"group": self.tag}),
                               self.network())
        self.start(network=used.name)
        found = self.client.networks.prune(filters={"label": f"group={self.tag}"})
        self.assertEqual(found["NetworksDeleted"], [unused.name])
        self.assertTrue(self.client.networks.list(ids=[other.id]))

    def test_a_container_keeps_its_networks_over_a_restart(self):
        network = self.network()
        server = self.start(SERVE, network=network.name, hostname="server")
        client = self.client_(network=network.name)
        self.asks(client, server.name)
        client.restart(timeout=0)
        self.assertEqual(self.asks(client, server.name), "from server")
