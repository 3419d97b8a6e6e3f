"""The figures of questions about what is elsewhere."""

import time

from bed import Place, Registry, Trouble, fleet, socket_path
from figures import DEVICE, TARGET, Figure, median, ms, ready, turns

VERSION = "/v1.41"


def lists(quick):
    """`docker ps`, `inspect` and `images` of what is 200 ms away, as the API is asked."""
    count = 5 if quick else 20
    everything = ("busybox", "testbed/work", "testbed/web", "testbed/python", "testbed/layers", "testbed/layers:v2")
    ready("remote", f"{DEVICE}:rtt=20ms", TARGET, images=everything)
    with Place(DEVICE) as edge, Place(TARGET) as cloud, Registry(cloud) as registry:
        pull(edge, cloud, registry, count)
        names = [f"benchmark-{n}" for n in range(count)]
        for name in names:
            edge.docker(edge.door, "run", "-d", "--name", name, "busybox", "sleep", "3600")
        try:
            fleet("link", DEVICE, "rtt=200ms")
            rtt = median(edge.ask("connect_times", cloud.address, 2375, 5)["times"])
            # The first question in an API version is asked over the link; then the device has it read in that one.
            edge.ask("asked", socket_path(edge.door), f"{VERSION}/containers/json")
            time.sleep(10 * rtt)
            found = [
                compared(what, targets, edge, cloud, rtt, 5 if quick else 40)
                for what, targets in (
                    (f"`docker ps` of {count} containers", ("/containers/json",) * 2),
                    ("`docker inspect` of a container",
                     (f"/containers/{names[0]}/json", f"/containers/{names[0]}.{DEVICE}/json")),
                    (f"`docker images`, {count} of them pulled there", ("/images/json",) * 2),
                    ("`docker inspect` of an image pulled there", (f"/images/{registry.ADDRESS}/app0/json",) * 2))]
        finally:
            fleet("link", DEVICE, "rtt=20ms")
            edge.docker(edge.door, "rm", "-f", *names)
    return found


def pull(edge, cloud, registry, count):
    """Has images pulled by containers that run there: the device has names of them, and not one layer."""
    for number in range(count):
        image = f"{registry.ADDRESS}/app{number}"
        cloud.docker(cloud.engine, "create", "--name", "benchmark-app", "busybox", "true")
        cloud.docker(cloud.engine, "commit", "-c", f"LABEL number={number}", "benchmark-app", image)
        cloud.docker(cloud.engine, "rm", "benchmark-app")
        cloud.docker(cloud.engine, "push", "-q", image)
        cloud.docker(cloud.engine, "rmi", image)
        edge.docker(edge.door, "run", "--rm", image, "true")


def compared(what, targets, edge, cloud, rtt, rounds):
    """The front door on the device, and the engine that has the things, asked on its own node."""
    counts = {}

    def question(name, place, host, target):
        def ask():
            answer = place.ask("asked", socket_path(host), VERSION + target)
            counts[name] = answer["count"]
            return answer["seconds"]
        return ask

    samples = turns(rounds, {
        "lighter": question("lighter", edge, edge.door, targets[0]),
        "engine": question("engine", cloud, cloud.engine, targets[1])})
    if counts["lighter"] != counts["engine"]:
        raise Trouble(f"{what}: {counts['lighter']} things against {counts['engine']}")
    ours, theirs = median(samples["lighter"]), median(samples["engine"])
    return Figure(
        f"{what}, {rtt * 1e3:.0f} ms away", "the engine that has them, asked on its node",
        f"{ms(ours)} against {ms(theirs)}, {ours / theirs:.2f} times as long; slowest {ms(max(samples['lighter']))}",
        ours * 1e3, unit="ms", least=30, aim=theirs * 1e3, samples=samples)


FIGURES = {"lists": lists}
