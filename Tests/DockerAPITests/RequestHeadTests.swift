import DockerAPI
import NIOCore
import Testing

@Suite("Request heads")
struct RequestHeadTests {
    private func parse(_ text: String, limit: Int = 64 * 1024) throws(HTTPError) -> RequestHead? {
        var buffer = ByteBuffer(string: text)
        var parser = HeadParser<RequestHead>(limit: limit)
        return try parser.parse(&buffer)
    }

    @Test("A head keeps its bytes verbatim and leaves what follows in the buffer")
    func verbatim() throws {
        let text =
            "POST /v1.41/containers/create?name=web HTTP/1.1\r\nhOST:  docker \r\nX-Odd:\ta b\r\nContent-Length: 2\r\n\r\n"
        var buffer = ByteBuffer(string: text + "{}rest")
        var parser = HeadParser<RequestHead>()
        let head = try #require(try parser.parse(&buffer))
        #expect(String(buffer: head.raw) == text)
        #expect(String(buffer: buffer) == "{}rest")
        #expect(head.headers.first("host") == "docker")
        #expect(head.headers.first("x-odd") == "a b")
        #expect(head.path == "/v1.41/containers/create")
        #expect(head.query == "name=web")
        #expect(head.apiVersion == "1.41")
        #expect(head.routePath == "/containers/create")
        #expect(head.framing == .length(2))
        #expect(head.keepAlive)
    }

    @Test(
        "A target with the host before it, as for a proxy, is passed on without",
        arguments: [
            ("http://docker/v1.41/info?a=b", "/v1.41/info?a=b"), ("HTTP://localhost:2375/_ping", "/_ping"),
            ("http://[::1]:2375/info", "/info"), ("http://d", "/"), ("http://d?a=b", "/?a=b"),
        ])
    func absolute(_ target: String, _ expected: String) throws {
        let head = try #require(try parse("GET \(target) HTTP/1.1\r\nHost: d\r\nX: y\r\n\r\n"))
        #expect(head.target == expected)
        #expect(String(buffer: head.raw) == "GET \(expected) HTTP/1.1\r\nHost: d\r\nX: y\r\n\r\n")
    }

    @Test("Upgrade counts only when Connection asks for it")
    func upgrade() throws {
        let asked = try #require(
            try parse("POST /session HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, Upgrade\r\nUpgrade: H2C\r\n\r\n"))
        #expect(asked.upgrade == "h2c")
        let unasked = try #require(try parse("POST /session HTTP/1.1\r\nHost: d\r\nUpgrade: h2c\r\n\r\n"))
        #expect(unasked.upgrade == nil)
    }

    @Test(
        "Keep-alive follows the version and the Connection header",
        arguments: [
            ("HTTP/1.1\r\nHost: d", true), ("HTTP/1.1\r\nHost: d\r\nConnection: close", false), ("HTTP/1.0", false),
            ("HTTP/1.0\r\nConnection: Keep-Alive", true), ("HTTP/1.1\r\nHost: d\r\nConnection: x , CLOSE", false),
        ])
    func keepAlive(_ text: String, _ expected: Bool) throws {
        #expect(try parse("GET /_ping \(text)\r\n\r\n")?.keepAlive == expected)
    }

    @Test("A head that is not all there yet is no error")
    func incomplete() throws {
        #expect(try parse("GET / HTTP/1.1\r\nHost: d\r\n\r") == nil)
        #expect(try parse("") == nil)
    }

    static let refused: [(String, Int)] = [
        ("GET / HTTP/1.1\nHost: d\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA: b\n\r\n", 400),
        ("\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: d\r\n\r\n", 400),
        ("GET /\r\nHost: d\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (" / HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET https://other/ HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET http://user@other/ HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET http:///info HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET http://d/a#b HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET http://d HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET /a#b HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET /a%2 HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET /a%zz HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET /\u{7f} HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET /é HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: d\r\n\r\n", 505),
        ("GET / HTTP/1.2\r\nHost: d\r\n\r\n", 505),
        ("GET / http/1.1\r\nHost: d\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA : b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\n: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA: b\0c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA: b\rc\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nA: \u{1}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: d\r\nExpect: more\r\n\r\n", 417),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1, 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0x1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length:\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ]

    @Test("What two parsers could read differently is refused", arguments: refused)
    func refusal(_ text: String, _ status: Int) {
        let error = #expect(throws: HTTPError.self) { try parse(text) }
        #expect(error?.status == status)
    }

    @Test("A head of a megabyte is refused with 431 before it has all come")
    func oversize() {
        let text = "GET / HTTP/1.1\r\nHost: d\r\nA: " + String(repeating: "a", count: 1 << 20)
        let error = #expect(throws: HTTPError.self) { try parse(text) }
        #expect(error?.status == 431)
        let fields = "GET / HTTP/1.1\r\nHost: d\r\n" + String(repeating: "a: b\r\n", count: 300) + "\r\n"
        #expect(#expect(throws: HTTPError.self) { try parse(fields) }?.status == 431)
    }

    @Test("A head of exactly the limit is taken, one byte more is not")
    func limit() throws {
        let text = "GET / HTTP/1.1\r\nHost: d\r\n\r\n"
        #expect(try parse(text, limit: text.utf8.count) != nil)
        #expect(throws: HTTPError.self) { try parse(text, limit: text.utf8.count - 1) }
    }

    @Test("Edits change their line and nothing else")
    func editing() throws {
        let head = try #require(
            try parse("GET /a?b HTTP/1.1\r\nhost: d\r\nX-A:  1\r\nX-B: 2\r\nx-a: 3\r\n\r\n"))
        #expect(
            String(buffer: try head.withTarget("/c").raw)
                == "GET /c HTTP/1.1\r\nhost: d\r\nX-A:  1\r\nX-B: 2\r\nx-a: 3\r\n\r\n")
        #expect(String(buffer: try head.removing("x-A").raw) == "GET /a?b HTTP/1.1\r\nhost: d\r\nX-B: 2\r\n\r\n")
        #expect(try head.withHeader("X-A", "9").headers.all("x-a") == ["9"])
        #expect(throws: HTTPError.self) { try head.withHeader("X-A", "9\r\nX-C: 1") }
        #expect(throws: HTTPError.self) { try head.withTarget("/c HTTP/1.1\r\nX: y") }
    }
}
