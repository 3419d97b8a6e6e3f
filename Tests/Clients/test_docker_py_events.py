"""docker-py: the stream of events, as it comes and of the past."""

import queue
import threading
import time

from clientcase import Case


class Events(Case):
    def watch(self, **options):
        """A queue of what the stream brings."""
        stream = self.client.events(decode=True, **options)
        found = queue.Queue()

        def read():
            try:
                for event in stream:
                    found.put(event)
            except Exception as e:  # a closed socket ends the thread in one of several ways
                found.put(e)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(stream.close)
        return found

    def actions(self, found, last, seconds=20):
        """What happened, up to the action `last`."""
        seen, end = [], time.monotonic() + seconds
        while last not in seen:
            try:
                event = found.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                self.fail(f"no '{last}' in {seconds} s, but {seen}")
            if isinstance(event, Exception):
                raise event
            seen.append(event["Action"])
        return seen

    def past(self, since, **filters):
        return list(self.client.events(since=since, until=time.time(), decode=True, filters=filters))

    def test_a_containers_life(self):
        found = self.watch(filters={"type": "container"})
        container = self.start(["sh", "-c", "exit 3"])
        container.wait()
        container.remove()
        self.assertEqual(self.actions(found, "destroy"), ["create", "start", "die", "destroy"])

    def test_an_event_tells_whom_what_and_when(self):
        found = self.watch(filters={"type": "container", "event": "die"})
        before = time.time()
        container = self.start(["sh", "-c", "exit 3"], labels={"mine": self.tag})
        event = found.get(timeout=20)
        self.assertEqual((event["Type"], event["Action"], event["status"], event["id"], event["from"]),
                         ("container", "die", "die", container.id, "busybox"))
        self.assertEqual(event["Actor"]["ID"], container.id)
        said = event["Actor"]["Attributes"]
        self.assertEqual((said["name"], said["exitCode"], said["image"], said["mine"]),
                         (container.name, "3", "busybox", self.tag))
        self.assertAlmostEqual(event["time"], before, delta=30)
        self.assertEqual(event["timeNano"] // 10**9, event["time"])

    def test_what_is_done_to_a_container(self):
        container = self.start()
        found = self.watch(filters={"container": container.id})
        container.pause()
        container.unpause()
        container.rename(self.name())
        container.exec_run("true")
        container.kill("SIGKILL")
        container.wait()
        container.restart(timeout=0)
        seen = self.actions(found, "restart")
        self.assertEqual([a for a in seen if not a.startswith("exec_")],
                         ["pause", "unpause", "rename", "kill", "die", "start", "restart"])
        self.assertEqual([a.partition(":")[0] for a in seen if a.startswith("exec_")],
                         ["exec_create", "exec_start", "exec_die"])

    def test_filters_by_label_image_and_event(self):
        by_label = self.watch(filters={"label": f"mine={self.tag}"})
        by_image = self.watch(filters={"image": "testbed/work", "event": ["start", "destroy"]})
        self.start(name=self.name())
        mine = self.start(labels={"mine": self.tag})
        other = self.start(image="testbed/work")
        for container in (mine, other):
            container.remove(force=True)
        self.assertEqual(self.actions(by_label, "destroy"), ["create", "start", "kill", "die", "destroy"])
        self.assertEqual(self.actions(by_image, "destroy"), ["start", "destroy"])

    def test_networks_volumes_and_images_have_events_too(self):
        found = self.watch(filters={"type": ["network", "volume", "image"]})
        self.network().remove()
        self.volume().remove()
        self.client.images.get("busybox").tag(self.tag)
        self.client.images.remove(self.tag)
        self.assertEqual(self.actions(found, "untag"), ["create", "destroy", "create", "destroy", "tag", "untag"])

    def test_the_past_between_two_times(self):
        since = time.time() - 0.5
        container = self.finished("true")
        container.remove()
        time.sleep(1)
        found = self.past(since, container=container.id)
        self.assertEqual([e["Action"] for e in found], ["create", "start", "die", "destroy"])
        self.assertEqual(found, sorted(found, key=lambda e: e["timeNano"]))
        self.assertEqual(self.past(since, container=self.name()), [])

    def test_the_past_and_then_the_present(self):
        since = time.time() - 0.5
        container = self.start()
        found = self.watch(since=since, filters={"container": container.id})
        container.kill()
        self.assertEqual(self.actions(found, "die"), ["create", "start", "kill", "die"])

    def test_an_end_in_the_future_ends_the_stream(self):
        began = time.monotonic()
        list(self.client.events(until=int(time.time()) + 2, decode=True))
        self.assertLess(time.monotonic() - began, 10)

    def test_health_is_told(self):
        found = self.watch(filters={"event": "health_status: healthy"})
        container = self.start(healthcheck={"test": ["CMD", "true"], "interval": 200_000_000})
        self.assertEqual(found.get(timeout=20)["id"], container.id)

    def test_closing_the_stream_ends_its_reader(self):
        stream = self.client.events()
        timer = threading.Timer(0.5, stream.close)
        timer.start()
        for _ in stream:
            pass
        timer.join()
