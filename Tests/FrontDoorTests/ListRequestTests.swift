import DockerAPI
import Testing

@testable import FrontDoor

@Suite("A list that is asked of several engines")
struct ListRequestTests {
    private func request(_ text: String) throws -> ListRequest { try ListRequest(Query(text)) }

    @Test(
        "A name pattern is matched here, with and without the slash",
        arguments: [
            ("web", "/web", true), ("^/web$", "/web", true), ("^web$", "/web", true), ("^web$", "/web2", false),
            ("we.*2", "/web2", true), ("db", "/web", false), ("(", "/a(b", true),
        ])
    func names(pattern: String, name: String, matches: Bool) {
        #expect(NamePattern(pattern).matches(name) == matches)
    }

    @Test("A node is not asked for names, which it knows by others, nor for times that it cannot know")
    func remoteQuery() throws {
        let list = try request(#"filters={"name":["web"],"label":["a=b"],"since":["x"]}&limit=2"#)
        let query = list.query(forRemote: ListRequest.Anchors(), ancestors: []) { _, _ in [] }
        let filters = try query.filters()
        #expect(filters.names == ["label"])
        #expect(query.first("limit") == nil && query.flag("all"), "the newest two of all are not the newest two webs")
    }

    @Test("Nor for a label that its guard has set to another value")
    func updateLabel() throws {
        let list = try request(#"filters={"label":["io.containers.autoupdate=registry","a=b"]}"#)
        let query = list.query(forRemote: ListRequest.Anchors(), ancestors: []) { _, _ in [] }
        #expect(try query.filters().values("label") == ["a=b"])
        #expect(list.selects(["State": "running", "Labels": ["io.containers.autoupdate": "registry", "a": "b"]]))
        #expect(!list.selects(["State": "running", "Labels": ["a": "b"]]))
    }

    @Test("An image is asked for by the digests that the node knows it by")
    func ancestors() throws {
        let list = try request(#"filters={"ancestor":["busybox"]}"#)
        let query = list.query(forRemote: ListRequest.Anchors(), ancestors: ["sha256:1", "busybox"]) { _, _ in [] }
        #expect(try query.filters().values("ancestor") == ["sha256:1", "busybox"])
    }

    @Test("A filter that no engine would take is refused as an engine refuses it")
    func malformed() {
        #expect(throws: DockerFailure.self) { try request("filters=nonsense") }
    }

    @Test(
        "Docker's times are read to the nanosecond, and nothing else is",
        arguments: [
            ("1970-01-01T00:00:01.5Z", 1.5), ("2026-01-31T10:20:30.123456789Z", 1_769_854_830.123456789),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
        ])
    func times(text: String, seconds: Double) throws {
        #expect(abs(try #require(Timestamp.seconds(text)) - seconds) < 0.000_001)
        #expect(Timestamp.seconds(text + "x") == nil)
    }
}
