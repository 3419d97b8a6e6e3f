import Testing

@testable import Compose

@Suite("A project of several files")
struct ProjectTests {
    @Test("A later file's settings come before an earlier one's, key by key")
    func overrides() throws {
        let disk: Disk = [
            "/app/a.yaml": """
            x-offload: {policy: remote, priority: 1}
            services: {a: {image: i, x-offload: {target: cloud1, tags: x}}, b: {image: i}}
            """,
            "/app/b.yaml": "{x-offload: {policy: local}, services: {a: {offload_policy: {target: cloud2}}}}",
        ]
        let labels = try disk.project("a.yaml", "b.yaml").labels
        #expect(
            labels["a"] == ["lighter.priority": "1", "lighter.target": "cloud2", "lighter.tags": "x"],
            "policy local of the project's would contradict the service's own target")
        #expect(labels["b"] == ["lighter.policy": "local", "lighter.priority": "1"])
    }

    @Test("The documents of one file are laid over one another")
    func documents() throws {
        let labels = try Disk.labels(
            "services: {a: {x-offload: {policy: remote}}}\n---\nservices: {a: {x-offload: {policy: local}}}\n")
        #expect(labels == ["a": ["lighter.policy": "local"]])
    }

    @Test("!reset and !override do to labels and settings what they do to any key")
    func mergeTags() throws {
        let disk: Disk = [
            "/app/a.yaml": """
            services:
              a: {labels: {lighter.policy: local}, x-offload: {policy: remote, tags: x}}
              b: {labels: {lighter.policy: local}, x-offload: {policy: remote, tags: x}}
              c: {x-offload: {policy: remote}}
            """,
            "/app/b.yaml": """
            services:
              a: {labels: !reset [], x-offload: !override {policy: threshold}}
              b: {x-offload: !reset null}
              c: !reset null
            """,
        ]
        #expect(try disk.project("a.yaml", "b.yaml").labels == ["a": ["lighter.policy": "threshold"]])
        let both = try Disk.labels(
            """
            {x-offload: {policy: remote, priority: 1}, services: {a: {image: i}}}
            --- # another document
            x-offload: !override {policy: local}
            """)
        #expect(both == ["a": ["lighter.policy": "local"]])
        let none = try Disk.labels(
            "{x-offload: {policy: remote}, services: {a: {image: i}}}\n---\nx-offload: !reset {}\n")
        #expect(none.isEmpty)
    }

    @Test("A service has what the one that it extends has, in the same file and in another folder's")
    func extends() throws {
        let disk: Disk = [
            "/app/compose.yaml": """
            services:
              a: {extends: b, x-offload: {tags: own}}
              b: {extends: {service: c}, labels: [lighter.priority=1]}
              c: {extends: {file: sub/base.yaml, service: base}, x-offload: {priority: 2, policy: remote}}
            """,
            "/app/sub/base.yaml": """
            x-offload: {failover: hold}
            services: {base: {extends: {file: far/base.yaml, service: base}, x-offload: {policy: local}}}
            """,
            "/app/sub/far/base.yaml": "services: {base: {image: i, x-offload: {target: cloud1, tags: far}}}",
        ]
        let labels = try disk.project("compose.yaml").labels
        #expect(
            labels["a"] == ["lighter.policy": "remote", "lighter.target": "cloud1", "lighter.tags": "own"])
        #expect(
            labels["c"] == [
                "lighter.policy": "remote", "lighter.target": "cloud1", "lighter.tags": "far", "lighter.priority": "2",
            ])
    }

    @Test("Circles of extends and include end")
    func circles() throws {
        let disk: Disk = [
            "/app/compose.yaml": """
            include: [other.yaml, compose.yaml]
            services: {a: {extends: b, x-offload: {policy: remote}}, b: {extends: a}}
            """,
            "/app/other.yaml": """
            include: [compose.yaml]
            services: {c: {extends: {file: other.yaml, service: c}, x-offload: {policy: local}}}
            """,
        ]
        let labels = try disk.project("compose.yaml").labels
        #expect(labels["b"] == ["lighter.policy": "remote"])
        #expect(labels["c"] == ["lighter.policy": "local"])
    }

    @Test("Included services have their own files' settings first, then the including file's")
    func include() throws {
        let disk: Disk = [
            "/app/compose.yaml": """
            x-offload: {policy: remote, priority: 1}
            include: [sub/one.yaml, {path: [two.yaml, over.yaml], project_directory: sub}]
            services: {a: {image: i}}
            """,
            "/app/sub/one.yaml": "{include: [deep/three.yaml], services: {b: {image: i, x-offload: {policy: local}}}}",
            "/app/sub/deep/three.yaml": "{x-offload: {target: cloud1}, services: {c: {image: i}}}",
            "/app/two.yaml": "services: {d: {extends: {file: base.yaml, service: e}}}",
            "/app/over.yaml": "services: {d: {x-offload: {tags: x}}}",
            "/app/sub/base.yaml": "services: {e: {image: i, x-offload: {priority: 2}}}",
        ]
        let labels = try disk.project("compose.yaml").labels
        #expect(labels["a"] == ["lighter.policy": "remote", "lighter.priority": "1"])
        #expect(labels["b"] == ["lighter.policy": "local", "lighter.priority": "1"])
        #expect(
            labels["c"] == ["lighter.policy": "remote", "lighter.target": "cloud1", "lighter.priority": "1"])
        #expect(labels["d"] == ["lighter.policy": "remote", "lighter.tags": "x", "lighter.priority": "2"])
    }

    @Test(
        "offload_policy in a file that Compose reads itself is refused with what to write instead",
        arguments: ["services: {a: {extends: {file: other.yaml, service: b}}}", "include: [other.yaml]"])
    func misplaced(text: String) throws {
        let disk: Disk = [
            "/app/compose.yaml": text, "/app/other.yaml": "services: {b: {image: i, offload_policy: {policy: local}}}",
        ]
        let error = #expect(throws: ComposeError.self) { try disk.project("compose.yaml") }
        #expect(error?.code == .misplaced)
        #expect(error?.message.hasPrefix("other.yaml: service b: offload_policy: ") == true)
        #expect(error?.message.hasSuffix("call it x-offload") == true)
    }

    @Test("The overlay keeps values whole, and has the version of the first file")
    func overlay() throws {
        let disk: Disk = ["/app/a.yaml": #"{version: "3.7", services: {a: {x-offload: {tags: "a\"\\\n\u00e9"}}}}"#]
        #expect(
            try disk.project("a.yaml").overlay
                == #"""
                version: "3.7"
                services:
                  "a":
                    labels:
                      "lighter.tags": "a\"\\\u000aé"

                """#)
    }
}
