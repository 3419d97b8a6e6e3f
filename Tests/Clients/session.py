"""A session of tests that leaves everything behind: makes things with Testcontainers, tells them, waits to be killed."""

import json
import sys

from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network

network = Network().create()
alone = DockerContainer("busybox").with_command("sleep 600").start()
together = DockerContainer("busybox").with_command("sleep 600").with_network(network).start()
docker = alone.get_docker_client().client
volume = docker.volumes.create(labels={LABEL_SESSION_ID: SESSION_ID})
holder = docker.containers.run("busybox", "sleep 600", detach=True, labels={LABEL_SESSION_ID: SESSION_ID},
                               volumes=[f"{volume.name}:/d"])
print(json.dumps({"session": SESSION_ID, "network": network.id, "volume": volume.name,
                  "containers": [alone.get_container_id(), together.get_container_id(), holder.id],
                  "names": [alone.get_wrapped_container().name],
                  "ryuk": Reaper._container.get_container_id()}), flush=True)
sys.stdin.read()
