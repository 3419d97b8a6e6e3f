import DockerAPI
import NIOCore
import Testing

@Suite("Response heads")
struct ResponseHeadTests {
    private func parse(_ text: String) throws(HTTPError) -> ResponseHead? {
        var buffer = ByteBuffer(string: text)
        var parser = HeadParser<ResponseHead>()
        return try parser.parse(&buffer)
    }

    @Test("A head does not keep the buffer alive that it came in")
    func copied() throws {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(64 << 10)
        buffer.writeString("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        var parser = HeadParser<ResponseHead>()
        let head = try #require(try parser.parse(&buffer))
        #expect(head.raw.storageCapacity < 1024)
        #expect(String(buffer: buffer) == "hello")
    }

    static let framings: [(String, String, ResponseFraming)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", "GET", .length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD", .none),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0", "GET", .none),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "GET", .chunked),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream", "POST", .untilClose),
        ("HTTP/1.1 204 No Content", "POST", .none),
        ("HTTP/1.1 304 Not Modified", "POST", .none),
        ("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp", "POST", .upgraded),
        ("HTTP/1.1 100 Continue", "POST", .interim),
        ("HTTP/1.1 103", "POST", .interim),
    ]

    @Test("The framing follows status, method and fields", arguments: framings)
    func framing(_ text: String, _ method: String, _ expected: ResponseFraming) throws {
        let head = try #require(try parse(text + "\r\n\r\n"))
        #expect(head.framing(forMethod: method) == expected)
    }

    @Test(
        "A malformed answer is the engine's fault: 502",
        arguments: [
            "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n",
        ])
    func malformed(_ text: String) {
        #expect(#expect(throws: HTTPError.self) { try parse(text) }?.status == 502)
    }

    @Test("A body that ends with the connection is handed on and never complete by itself")
    func untilClose() throws {
        var reader = BodyReader(ResponseFraming.untilClose)
        var buffer = ByteBuffer(string: "abc")
        let part = try reader.next(&buffer)
        #expect(part?.payload == ByteBuffer(string: "abc"))
        #expect(!reader.isComplete)
    }
}
