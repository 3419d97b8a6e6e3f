"""What differs from a local engine, as docs/compatibility.md says: test, under which policies, and why.

A test that stands here is run all the same; it must fail through Lighter, and pass on a bare engine. When it passes
through Lighter, the run fails until the line is gone.
"""

from clientcase import WORLD

DIFFERS = {
    "test_docker_py_containers.Containers.test_commit_makes_an_image_that_runs":
        ({"remote"}, "docker commit of a container elsewhere is not there yet"),
}


def differences():
    return {} if WORLD.plain else {name: why for name, (policies, why) in DIFFERS.items() if WORLD.policy in policies}
