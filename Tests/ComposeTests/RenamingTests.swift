import Testing

@testable import Compose

@Suite("Files with offload_policy")
struct RenamingTests {
    @Test("Only the key changes: comments, quoting, tags, order, anchors and line ends stay")
    func bytes() throws {
        let text = """
            # offload_policy: no
            services:\r
              web: &web   # ü offload_policy
                ports: ["8080:80", '22:22']\r
                environment: {offload_policy: on, MODE: 0755, NORWAY: no}
                labels: {offload_policy: x}
                offload_policy : &p {target_node: cloud1}   # ü
                command: "offload_policy:"
              üü: {image: !custom i, "offload_policy": *p, 'x': y}
              last: {<<: *web, 'offload_policy': {<<: *p, policy: remote}}
            x-offload_policy: {offload_policy: 1}

            """
        let expected =
            text
            .replacing("    offload_policy : &p", with: "    x-offload-policy : &p")
            .replacing("\"offload_policy\": *p", with: "\"x-offload-policy\": *p")
            .replacing("'offload_policy': {<<", with: "'x-offload-policy': {<<")
        #expect(try renamed(text) == expected)
    }

    @Test("A key that an anchor brings is renamed where the anchor stands, once")
    func anchors() throws {
        let text = """
            x-far: &far
              offload_policy: {policy: remote}
            x-other: &other {offload_policy: {policy: local}}
            services:
              a: {<<: *far}
              b: {<<: [*far, *other], offload_policy: {policy: threshold}}
            """
        #expect(try renamed(text) == text.replacing("offload_policy", with: "x-offload-policy"))
    }

    @Test("Every line break of YAML 1.1 and a byte order mark are counted", arguments: ["\n", "\r\n", "\r", "\u{85}"])
    func breaks(mark: String) throws {
        let text = "\u{feff}services:\(mark)  a: {offload_policy: {policy: remote}}\(mark)"
        #expect(try renamed(text) == text.replacing("offload_policy", with: "x-offload-policy"))
    }

    @Test(
        "A key that cannot be replaced is refused with its line",
        arguments: ["&a offload_policy", #""offload\x5fpolicy""#])
    func refused(key: String) throws {
        let error = #expect(throws: ComposeError.self) {
            try renamed("services:\n  a:\n    \(key): {policy: remote}\n")
        }
        #expect(error?.message.hasPrefix("compose.yaml: line 3: write the key offload_policy") == true)
    }

    @Test("A file without it is left alone")
    func plain() throws {
        #expect(try renamed("services: {a: {image: i, x-offload: {policy: remote}}}") == nil)
    }

    private func renamed(_ text: String) throws -> String? {
        let disk: Disk = ["/app/compose.yaml": text]
        return try disk.project("compose.yaml").replaced["compose.yaml"]
    }
}
