"""Errors of the Engine API: the status and the text, which clients and their users know."""

from urllib.parse import quote

from fixture import Case

EITHER = (400, 500)  # the latter from older engines


class Errors(Case):
    def assert_answers(self, *cases):
        for method, path, body, status, words in cases:
            with self.subTest(call=f"{method} {path}"):
                code, text = self.call(method, path, body)
                self.assertIn(code, status if isinstance(status, tuple) else (status,), text)
                self.assertRegex(text, words)

    def test_what_is_not_there_is_404(self):
        ghost = f"{self.tag}-ghost"
        gone = f"^([Cc]annot kill container: {ghost}: )?No such container: {ghost}\\s*$"
        one = f"/containers/{ghost}"
        self.assert_answers(
            *(("GET", f"{one}/{what}", None, 404, gone) for what in
              ("json", "logs?stdout=1", "top", "changes", "export", "stats?stream=0", "archive?path=/etc")),
            *(("POST", f"{one}/{what}", None, 404, gone) for what in
              ("start", "stop", "restart", "kill", "pause", "unpause", "rename?name=x9", "wait", "attach?stdout=1",
               "resize?h=1&w=1")),
            ("POST", f"{one}/exec", {"Cmd": ["true"]}, 404, gone),
            ("POST", f"{one}/update", {"Memory": 0}, 404, gone),
            ("DELETE", one, None, 404, gone),
            ("GET", f"/exec/{ghost}/json", None, 404, f"^No such exec instance: {ghost}$"),
            ("POST", f"/exec/{ghost}/start", {"Detach": True}, 404, f"^No such exec instance: {ghost}$"),
            ("GET", f"/images/{ghost}/json", None, 404, f"(?i)^no such image: {ghost}"),
            ("GET", f"/networks/{ghost}", None, 404, f"^network {ghost} not found$"),
            ("GET", f"/volumes/{ghost}", None, 404, f"^get {ghost}: no such volume$"),
            ("GET", "/nowhere", None, 404, "^page not found$"))

    def test_checkpoints_are_refused_as_for_any_container_of_the_engine(self):
        here, other = self.service("--label", "lighter.policy=local"), self.service()
        for method, path, body in (("POST", "checkpoints", {"CheckpointID": "c1"}), ("GET", "checkpoints", None),
                                   ("DELETE", "checkpoints/c1", None)):
            with self.subTest(method=method):
                wanted, found = (self.call(method, f"/containers/{name}/{path}", body) for name in (here, other))
                self.assertEqual(found, wanted)
                self.assertEqual(found[0], 501)
                self.assertIn("experimental", found[1])

    def test_what_cannot_be_done_in_this_state_is_409(self):
        running, created = self.service(), self.name()
        self.docker("create", "--name", created, "busybox")
        ident = self.inspect(created, "{{.Id}}")
        self.assert_answers(
            ("POST", f"/containers/{created}/kill", None, 409,
             rf"^[Cc]annot kill container: \w.*: [Cc]ontainer {ident} is not running$"),
            ("POST", f"/containers/{created}/pause", None, 409, f"^[Cc]ontainer {ident} is not running$"),
            ("POST", f"/containers/{created}/exec", {"Cmd": ["true"]}, 409, f"^[Cc]ontainer {ident} is not running$"),
            ("GET", f"/containers/{created}/top", None, 409, f"^[Cc]ontainer {ident} is not running$"),
            ("DELETE", f"/containers/{running}", None, 409,
             "^You cannot remove a running container [0-9a-f]{64}. Stop the container before attempting removal or force "
             f'remove$|^cannot remove container "/{running}": container is running: stop the container before removing '
             "or force remove$"),
            ("POST", f"/containers/create?name={created}", {"Image": "busybox"}, 409,
             f'^Conflict. The container name "/{created}" is already in use by container "{ident}". You have to remove '
             r"\(or rename\) that container to be able to reuse that name.$"))

    def test_what_changes_nothing_is_304(self):
        running, created = self.service(), self.name()
        self.docker("create", "--name", created, "busybox")
        self.assertEqual(self.call("POST", f"/containers/{running}/start"), (304, ""))
        self.assertEqual(self.call("POST", f"/containers/{created}/stop"), (304, ""))

    def test_what_is_wrong_in_itself_is_400(self):
        name = self.service()
        self.assert_answers(
            ("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Memory": 1000}}, 400,
             "^Minimum memory limit"),
            ("POST", "/containers/create?name=!!", {"Image": "busybox"}, 400, r"^Invalid container name \(!!\)"),
            ("POST", "/containers/create", {"Image": "Not Good"}, 400, "invalid reference format"),
            ("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Binds": ["/a:b:c:d"]}}, EITHER,
             "^invalid volume spec"),
            ("GET", "/containers/json?filters=" + quote("{broken"), None, EITHER, "invalid"),
            ("GET", '/containers/json?filters=' + quote('{"colour":["red"]}'), None, 400, "(?i)^invalid filter 'colour'$"),
            ("GET", f"/containers/{name}/logs", None, 400, "^Bad parameters: you must choose at least one stream$"),
            ("POST", f"/containers/{name}/rename", None, 400, "^Neither old nor new names may be empty$"),
            ("POST", f"/containers/{name}/kill?signal=BOO", None, 400,
             r"^(cannot kill container: \S+: i|I)nvalid signal: BOO$"),
            ("POST", f"/containers/{name}/exec", {"Cmd": []}, 400, "^No exec command specified$"))

    def test_an_image_that_is_missing_is_404_at_the_creation(self):
        self.assert_answers(("POST", "/containers/create", {"Image": f"{self.tag}-ghost"}, 404,
                             f"^No such image: {self.tag}-ghost:latest$"))

    def test_success_has_its_status(self):
        name = self.name()
        self.assertEqual(self.call("POST", f"/containers/create?name={name}",
                                   {"Image": "busybox", "Cmd": ["sleep", "600"]})[0], 201)
        for method, what, status in (("POST", "/start", 204), ("GET", "/json", 200), ("POST", "/pause", 204),
                                     ("POST", "/unpause", 204), ("POST", "/kill", 204), ("POST", "/wait", 200),
                                     ("DELETE", "", 204)):
            with self.subTest(call=f"{method} {what}"):
                self.assertEqual(self.call(method, f"/containers/{name}{what}")[0], status)
