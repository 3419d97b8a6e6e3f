"""User-defined networks, links, and what a container is told of names and addresses."""

import json
import subprocess
import time

from fixture import Case

SERVE = ("sh", "-c", "mkdir /www; echo served >/www/index.html; exec httpd -f -p 8080 -h /www")


class Networks(Case):
    def peers(self, name):
        """{network: its settings} of a container."""
        return json.loads(self.inspect(name, "{{json .NetworkSettings.Networks}}"))

    def test_containers_of_one_network_reach_each_other_by_name(self):
        network = self.network()
        server = self.service("--network", network, command=SERVE)
        found = self.shell(f"until wget -qO- http://{server}:8080/; do sleep 0.05; done", "--network", network)
        self.assertEqual(found.out, "served\n")

    def test_an_alias_is_a_name_too(self):
        network = self.network()
        server = self.service("--network", network, "--network-alias", "database")
        address = self.peers(server)[network]["IPAddress"]
        self.assertIn(f"PING database ({address})", self.shell("ping -c1 -W5 database", "--network", network).out)

    def test_an_alias_of_several_containers_leads_to_all_of_them(self):
        network = self.network()
        both = [self.service("--network", network, "--network-alias", "pool") for _ in range(2)]
        found = self.shell("nslookup pool", "--network", network).out
        for name in both:
            self.assertIn(self.peers(name)[network]["IPAddress"], found)

    def test_a_container_is_not_reached_from_another_network(self):
        network, other = self.network(), self.network()
        server = self.service("--network", network)
        address = self.peers(server)[network]["IPAddress"]
        self.shell(f"ping -c1 -W1 {address}", "--network", other, expect=1)

    def test_a_running_container_joins_a_network_and_leaves_it(self):
        network = self.network()
        name = self.service()
        self.docker("network", "connect", network, name)
        self.assertEqual(set(self.peers(name)), {"bridge", network})
        self.assertIn("eth1", self.docker("exec", name, "ls", "/sys/class/net").out.split())
        self.docker("network", "disconnect", network, name)
        self.assertEqual(set(self.peers(name)), {"bridge"})
        self.assertNotIn("eth1", self.docker("exec", name, "ls", "/sys/class/net").out.split())

    def test_a_container_that_joins_by_an_alias_is_found_by_it(self):
        network = self.network()
        client, server = self.service("--network", network), self.service()
        self.docker("network", "connect", "--alias", "late", network, server)
        self.docker("exec", client, "ping", "-c1", "-W5", "late")
        self.assertIn("late", self.peers(server)[network]["Aliases"])

    def test_a_container_that_was_never_started_joins_a_network(self):
        network, name = self.network(), self.name()
        self.docker("create", "--name", name, "busybox", "ls", "/sys/class/net")
        self.docker("network", "connect", network, name)
        self.assertLessEqual({"eth0", "eth1"}, set(self.docker("start", "-a", name).out.split()))

    def test_an_address_of_the_networks_is_given_if_asked_for(self):
        network = self.network("--subnet", "10.199.77.0/24")
        found = self.shell("ip -4 -o addr show dev eth0", "--network", network, "--ip", "10.199.77.9")
        self.assertIn("inet 10.199.77.9/24", found.out)

    def test_inspecting_a_network_shows_its_settings_and_containers(self):
        network = self.network("--label", "a=b", "--internal", "--subnet", "10.199.78.0/24", "--gateway", "10.199.78.9")
        name = self.service("--network", network)
        shown = json.loads(self.docker("network", "inspect", network).out)[0]
        self.assertEqual((shown["Name"], shown["Driver"], shown["Scope"], shown["Internal"], shown["Labels"]),
                         (network, "bridge", "local", True, {"a": "b"}))
        self.assertEqual(shown["IPAM"]["Config"], [{"Subnet": "10.199.78.0/24", "Gateway": "10.199.78.9"}])
        self.assertEqual([c["Name"] for c in shown["Containers"].values()], [name])
        self.assertEqual(list(shown["Containers"]), [self.inspect(name, "{{.Id}}")])

    def test_an_internal_network_leads_nowhere_else(self):
        network, outside = self.network("--internal"), self.service()
        address = self.inspect(outside, "{{.NetworkSettings.IPAddress}}")
        self.shell(f"ping -c1 -W5 {address}")
        self.shell(f"ping -c1 -W1 {address}", "--network", network, expect=1)

    def test_networks_are_listed_by_label_name_and_driver(self):
        network = self.network("--label", f"t={self.tag}")
        listed = "{{.Name}} {{.Driver}} {{.Scope}}"
        self.assertEqual(self.docker("network", "ls", "--filter", f"label=t={self.tag}", "--format", listed).line,
                         f"{network} bridge local")
        self.assertEqual(self.docker("network", "ls", "--filter", f"name={network}", "--format", listed).line,
                         f"{network} bridge local")
        self.assertEqual(self.docker("network", "ls", "--filter", f"label=t={self.tag}", "--filter", "driver=host",
                                     "-q").line, "")
        ident = self.docker("network", "inspect", "--format", "{{.Id}}", network).line
        self.assertEqual(self.docker("network", "ls", "-q", "--no-trunc", "--filter", f"id={ident[:20]}").line, ident)

    def test_containers_are_listed_by_their_network(self):
        network = self.network()
        name = self.service("--network", network)
        self.assertEqual(self.names("--filter", f"network={network}"), {name})
        self.assertEqual(self.docker("ps", "--filter", f"name={name}", "--format", "{{.Networks}}").line, network)

    def test_a_network_in_use_is_not_removed(self):
        network = self.network()
        name = self.service("--network", network)
        self.assertIn("has active endpoints", self.docker("network", "rm", network, expect=1).err)
        self.docker("rm", "-f", name)
        self.assertEqual(self.docker("network", "rm", network).line, network)

    def test_prune_removes_only_networks_that_nobody_uses(self):
        label = ("--label", f"t={self.tag}")
        used, unused, other = self.network(*label), self.network(*label), self.network()
        self.service("--network", used)
        found = self.docker("network", "prune", "-f", "--filter", f"label=t={self.tag}")
        self.assertEqual(found.out.split("\n")[:2], ["Deleted Networks:", unused])
        listed = set(self.docker("network", "ls", "--format", "{{.Name}}", "--filter", f"name={self.tag}").out.split())
        self.assertEqual(listed, {used, other})

    def test_a_stopped_container_comes_back_to_its_network(self):
        network = self.network()
        server = self.service("--network", network, "--network-alias", "again")
        self.docker("stop", "-t", "0", server)
        self.docker("start", server)
        self.shell("ping -c1 -W5 again", "--network", network)

    def test_events_tell_of_a_network_and_who_joins_it(self):
        since = self.now()
        network = self.network()
        ident = self.docker("network", "inspect", "--format", "{{.Id}}", network).line
        name = self.service("--network", network)
        container = self.inspect(name, "{{.Id}}")
        self.docker("rm", "-f", name)
        self.docker("network", "rm", network)
        for mine in ((), ("--filter", f"network={network}"), ("--filter", f"network={ident}")):
            seen = self.docker("events", "--since", since, "--until", self.now(), "--filter", "type=network", *mine,
                               "--format", "{{json .}}").out.splitlines()
            seen = [e for e in map(json.loads, seen) if e["Actor"]["Attributes"]["name"] == network]
            self.assertEqual([e["Action"] for e in seen], ["create", "connect", "disconnect", "destroy"])
            self.assertEqual({e["Actor"]["ID"] for e in seen}, {ident})
            self.assertEqual([e["Actor"]["Attributes"].get("container") for e in seen],
                             [None, container, container, None])

    def test_events_tell_of_the_engines_own_network_too(self):
        ident = self.docker("network", "inspect", "--format", "{{.Id}}", "bridge").line
        events = self.start("events", "--filter", "type=network", "--format", "{{json .}}", stdin=subprocess.DEVNULL)
        time.sleep(0.5)  # nothing says that the stream stands
        name = self.service()
        container = self.inspect(name, "{{.Id}}")
        self.docker("kill", name)
        for action in ("connect", "disconnect"):
            event = json.loads(events.stdout.readline())
            self.assertEqual((event["Action"], event["Actor"]["ID"], event["Actor"]["Attributes"]["container"]),
                             (action, ident, container))

    def test_a_renamed_container_is_found_by_its_new_name_only(self):
        network = self.network()
        server, client = self.service("--network", network, "--network-alias", "store"), self.service("--network",
                                                                                                   network)
        waiting = self.name()
        self.docker("create", "--name", waiting, "--network", network, "busybox", "sleep", "600")
        since = self.now()
        for old in (server, waiting):
            self.docker("rename", old, f"{old}-new")
            self.addCleanup(self.docker, "rm", "-f", f"{old}-new", expect=None)
        self.assertEqual(self.docker("events", "--since", since, "--until", self.now(), "--filter", "type=network",
                                     "--format", "{{.Action}} {{.Actor.Attributes.name}}").out, "")
        self.docker("start", f"{waiting}-new")
        for old in (server, waiting):
            with self.subTest(running=old == server):
                address = self.peers(f"{old}-new")[network]["IPAddress"]
                self.assertIn(f"PING {old}-new ({address})",
                              self.docker("exec", client, "ping", "-c1", "-W5", f"{old}-new").out)
                self.docker("exec", client, "ping", "-c1", "-W5", old, expect=1)
        self.docker("exec", client, "ping", "-c1", "-W5", "store")
        self.docker("exec", f"{server}-new", "ping", "-c1", "-W5", client)

    def test_a_container_in_a_network_may_be_renamed_there_and_back(self):
        network = self.network("--subnet", "10.199.79.0/24")
        server, client = self.service("--network", network, "--ip", "10.199.79.9"), self.service("--network", network)
        self.docker("rename", server, f"{server}-new")
        self.docker("rename", f"{server}-new", server)
        self.assertIn(f"PING {server} (10.199.79.9)",
                      self.docker("exec", client, "ping", "-c1", "-W5", server).out)


class Sharing(Case):
    def test_a_container_without_a_network_has_only_itself(self):
        self.assertEqual(self.shell("ls /sys/class/net", "--network", "none").out, "lo\n")

    def test_a_container_shares_the_network_of_another(self):
        server = self.service(command=SERVE)
        found = self.shell("until wget -qO- http://127.0.0.1:8080/; do sleep 0.05; done; hostname", "--network",
                           f"container:{server}")
        self.assertEqual(found.out.splitlines(), ["served", self.inspect(server, "{{.Config.Hostname}}")])

    def test_what_two_share_cannot_be_published_by_the_second(self):
        server = self.service()
        found = self.docker("run", "--rm", "--network", f"container:{server}", "-p", "18090:80", "busybox", "true",
                            expect=125)
        self.assertIn("conflicting options: port publishing and the container type network mode", found.err)

    def test_a_link_gives_a_name_and_variables(self):
        server = self.service("--expose", "5432", "-e", "SECRET=x")
        address = self.inspect(server, "{{.NetworkSettings.IPAddress}}")
        found = self.shell("ping -c1 -W5 db; env", "--link", f"{server}:db").out
        self.assertIn(f"PING db ({address})", found)
        self.assertIn(f"DB_PORT_5432_TCP=tcp://{address}:5432", found)
        self.assertIn("DB_ENV_SECRET=x", found)

    def test_a_link_in_a_network_is_an_alias(self):
        network = self.network()
        server = self.service("--network", network)
        self.shell("ping -c1 -W5 db", "--network", network, "--link", f"{server}:db")

    def test_names_and_resolvers_are_as_asked(self):
        found = self.shell("cat /etc/hosts /etc/resolv.conf", "--add-host", "there.example:192.0.2.7", "--dns",
                           "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:3").out.splitlines()
        for line in ("192.0.2.7\tthere.example", "nameserver 192.0.2.53", "search example.org", "options ndots:3"):
            self.assertIn(line, found)

    def test_a_host_name_with_a_domain_is_in_the_hosts_file(self):
        found = self.shell("hostname; hostname -f", "-h", "ship", "--domainname", "sea.example")
        self.assertEqual(found.out, "ship\nship.sea.example\n")

    def test_the_address_that_is_shown_is_the_containers_own(self):
        name = self.service()
        self.assertIn(f"inet {self.inspect(name, '{{.NetworkSettings.IPAddress}}')}/",
                      self.docker("exec", name, "ip", "-4", "addr", "show", "dev", "eth0").out)


class Refusals(Case):
    def refused(self, *command, code=1):
        return self.docker(*command, expect=code).err

    def test_what_is_wrong_with_a_network_is_said(self):
        network, ghost = self.network(), f"{self.tag}-ghost"
        self.assertIn(f"network with name {network} already exists", self.refused("network", "create", network))
        self.assertIn(f"network {ghost} not found", self.refused("network", "rm", ghost))
        self.assertIn(f"network {ghost} not found", self.refused("network", "inspect", ghost))
        self.assertIn("bridge is a pre-defined network and cannot be removed", self.refused("network", "rm", "bridge"))
        self.assertIn("invalid CIDR", self.refused("network", "create", "--subnet", "10.0.0.0/99", ghost))

    def test_what_is_wrong_with_joining_is_said(self):
        network, ghost = self.network(), f"{self.tag}-ghost"
        name = self.service("--network", network)
        self.assertIn(f"network {ghost} not found", self.refused("network", "connect", ghost, name))
        self.assertIn(f"No such container: {ghost}", self.refused("network", "connect", network, ghost))
        self.assertIn(f"endpoint with name {name} already exists in network {network}",
                      self.refused("network", "connect", network, name))
        self.docker("network", "disconnect", network, name)
        self.assertIn(f"is not connected to network {network}", self.refused("network", "disconnect", network, name))

    def test_a_network_or_container_that_is_not_there_is_refused_at_the_run(self):
        ghost = f"{self.tag}-ghost"
        run = ("run", "--rm", "--name", self.name())
        self.assertIn(f"network {ghost} not found", self.refused(*run, "--network", ghost, "busybox", code=125))
        self.assertIn(f"No such container: {ghost}",
                      self.refused(*run, "--network", f"container:{ghost}", "busybox", code=125))
        self.assertIn(f"could not get container for {ghost}",
                      self.refused(*run, "--link", f"{ghost}:x", "busybox", code=125))

    def test_a_fixed_address_needs_a_subnet_of_the_users(self):
        network = self.network()
        self.assertIn("only when connecting to networks with user configured subnets", self.refused(
            "run", "--rm", "--network", network, "--ip", "10.199.0.9", "busybox", "true", code=125))
