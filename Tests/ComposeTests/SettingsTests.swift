import Compose
import Testing

@Suite("Settings in Compose files")
struct SettingsTests {
    @Test("The nearer of a target and of policy local counts, and no label contradicts it")
    func places() throws {
        let found = try Disk.labels(
            """
            x-offload: {policy: local}
            services: {a: {image: i, x-offload: {target: cloud1}}, b: {image: i}}
            """)
        #expect(found["a"] == ["lighter.target": "cloud1"])
        #expect(found["b"] == ["lighter.policy": "local"])
        let other = try Disk.labels(
            """
            x-offload: {target: cloud1, tags: x}
            services: {a: {image: i, x-offload: {policy: local}}, b: {image: i, x-offload: {policy: remote}}}
            """)
        #expect(other["a"] == ["lighter.policy": "local", "lighter.tags": "x"])
        #expect(other["b"] == ["lighter.policy": "remote", "lighter.target": "cloud1", "lighter.tags": "x"])
        let written = try Disk.labels(
            "{x-offload: {policy: local, tags: x}, services: {a: {image: i, labels: {lighter.target: cloud1}}}}")
        #expect(written["a"] == ["lighter.tags": "x"], "the service's own label is nearest")
    }

    @Test("Settings of the top level are every service's")
    func topLevel() throws {
        let labels = try Disk.labels("{x-offload: {policy: remote}, services: {a: {image: i}, b: {image: i}}}")
        #expect(labels == ["a": ["lighter.policy": "remote"], "b": ["lighter.policy": "remote"]])
    }

    @Test("Every key becomes the label of its name, with its value as written")
    func keys() throws {
        let labels = try Disk.labels(
            """
            services:
              a:
                offload_policy:
                  policy: threshold
                  target_node: cloud1
                  tags: [gpu, region=eu]
                  cpu_threshold: 80%
                  memory_threshold: 0.50
                  priority: 07
                  deadline: 10s
                  failover: hold
                  exclusive: yes
            """)
        #expect(
            labels["a"] == [
                "lighter.policy": "threshold", "lighter.target": "cloud1", "lighter.tags": "gpu,region=eu",
                "lighter.cpu_threshold": "80%", "lighter.memory_threshold": "0.50", "lighter.priority": "07",
                "lighter.deadline": "10s", "lighter.failover": "hold", "lighter.exclusive": "yes",
            ])
    }

    @Test("Labels of a service, in either form, come before its settings, and those before the top level's")
    func precedence() throws {
        for labels in ["[lighter.policy=local, other]", "{lighter.policy: local, other: }"] {
            let found = try Disk.labels(
                """
                x-offload: {policy: remote, target: cloud1, tags: gpu, priority: 1}
                services:
                  a:
                    labels: \(labels)
                    x-offload: {policy: threshold, target: cloud2, tags: a}
                    offload_policy: {tags: b}
                """)
            #expect(found["a"] == ["lighter.target": "cloud2", "lighter.tags": "b", "lighter.priority": "1"])
        }
    }

    @Test("Anchors and merge keys give what plain YAML gives")
    func anchors() throws {
        let labels = try Disk.labels(
            """
            x-far: &far {policy: remote, target: cloud1}
            x-service: &service
              x-offload: {<<: *far, target: cloud2}
              labels: &labels {lighter.priority: "1"}
            services:
              a: {<<: *service, image: i}
              b: {<<: [{image: i}, *service], x-offload: *far}
              c: {image: i, x-offload: {priority: 2, <<: [*far]}, labels: {<<: *labels}}
            """)
        #expect(labels["a"] == ["lighter.policy": "remote", "lighter.target": "cloud2"])
        #expect(labels["b"] == ["lighter.policy": "remote", "lighter.target": "cloud1"])
        #expect(labels["c"] == ["lighter.policy": "remote", "lighter.target": "cloud1"])
    }

    @Test("A variable is left for Compose to fill in")
    func variables() throws {
        let labels = try Disk.labels("services: {a: {x-offload: {policy: '${P:-remote}', target: $NODE}}}")
        #expect(labels["a"] == ["lighter.policy": "${P:-remote}", "lighter.target": "$NODE"])
    }

    @Test(
        "What cannot be is refused on one line with file, service, block, key and what is allowed",
        arguments: [
            ("x-offload: {cpu_threshold: lots}", "cpu_threshold=lots: use a percentage such as 75%"),
            ("offload_policy: {memory_threshold: 120%}", "memory_threshold=120%: use at most 100%"),
            ("x-offload: {policy: fastest}", "policy=fastest: use one of local, remote, threshold, completion"),
            ("x-offload: {target_node: 'Not A Node'}", "target_node=Not A Node: use a node's name"),
            ("x-offload: {polcy: local}", "unknown key 'polcy': use policy, target, tags, cpu_threshold"),
            ("x-offload: {policy: }", "policy: write one value"),
            ("x-offload: {policy: [a]}", "policy: write one value"),
            ("x-offload: {tags: {a: b}}", "tags: write one value or a list of words"),
            ("x-offload: {tags: [[a]]}", "tags: write a list of words"),
            ("x-offload: remote", "write it as a mapping"), ("x-offload: [policy]", "write it as a mapping"),
            ("x-offload: {target: a, target_node: b}", "target is there twice"),
        ])
    func refusals(block: String, reason: String) throws {
        let message = try refusal("services: {web: {image: i, \(block)}}")
        #expect(message.hasPrefix("compose.yaml: service web: \(block.prefix { $0 != ":" }): \(reason)"), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test("A refusal at the top level names no service")
    func topLevelRefusal() throws {
        #expect(try refusal("x-offload: {where: there}").hasPrefix("compose.yaml: x-offload: unknown key 'where'"))
    }

    @Test("A file with settings that is no YAML is refused on one line; any other is Compose's to complain of")
    func malformed() throws {
        let message = try refusal("services: {a: {x-offload: {policy: remote}\n")
        #expect(message.hasPrefix("compose.yaml: this is no YAML: "))
        #expect(!message.contains("\n"))
        let disk: Disk = ["/app/compose.yaml": "services: {a: {\n"]
        #expect(try disk.project("compose.yaml").isPlain)
    }

    private func refusal(_ text: String) throws -> String {
        let error = #expect(throws: ComposeError.self) { try Disk.labels(text) }
        return try #require(error).description
    }
}
