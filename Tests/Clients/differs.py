"""What differs from a local engine, as docs/compatibility.md says: test, under which policies, and why.

A test that stands here is run all the same; it must fail through Lighter, and pass on a bare engine. When it passes
through Lighter, the run fails until the line is gone.
"""

from clientcase import WORLD

AWAY = {"remote"}
DIFFERS = {
    "test_docker_py_containers.Containers.test_labels_are_those_given":
        (AWAY, "labels io.lighter.* say where a container runs"),
    "test_docker_py_networks.Networks.test_links_and_aliases_are_shown_as_they_were_given":
        (AWAY, "in its networks a container's name is one more alias"),
}


def differences():
    return {} if WORLD.plain else {name: why for name, (policies, why) in DIFFERS.items() if WORLD.policy in policies}
