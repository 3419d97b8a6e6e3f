import LighterTesting
import DockerAPI
import NIOCore
import Testing

@Suite("Bodies")
struct BodyReaderTests {
    static let length = "POST /a HTTP/1.1\r\nHost: d\r\nContent-Length: 11\r\n\r\n"
    static let chunked = "POST /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: Chunked\r\n\r\n"
    static let whole: [(String, String, String)] = [
        (length, "hello world", "hello world"),
        (chunked, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        (chunked, "5;a=\"b\"\r\nhello\r\n00a;x\r\n0123456789\r\n0;end\r\nTrailer: x\r\nB:\r\n\r\n", "hello0123456789"),
        (chunked, "0\r\n\r\n", ""),
        ("GET /a HTTP/1.1\r\nHost: d\r\n\r\n", "", ""),
    ]

    @Test("A body is the same wherever it is cut, and ends exactly at its end", arguments: whole)
    func anySplit(_ head: String, _ body: String, _ payload: String) {
        let bytes = Array((head + body + "GET /next").utf8)
        let expected = Outcome([bytes])
        #expect(expected.status == nil)
        #expect(expected.isComplete)
        #expect(expected.rawBody == Array(body.utf8))
        #expect(expected.payload == Array(payload.utf8))
        #expect(expected.rest == Array("GET /next".utf8))
        for at in 1..<bytes.count {
            #expect(Outcome([Array(bytes[..<at]), Array(bytes[at...])]) == expected)
        }
        #expect(Outcome(bytes.map { [$0] }) == expected)
    }

    @Test("Without decoding, all chunks that have come are one verbatim piece")
    func verbatim() throws {
        var buffer = ByteBuffer(string: "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext")
        var reader = BodyReader(BodyFraming.chunked, decoding: false)
        let part = try #require(try reader.next(&buffer))
        #expect(String(buffer: part.raw) == "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        #expect(part.payload == nil)
        #expect(reader.isComplete)
        #expect(String(buffer: buffer) == "next")
    }

    @Test(
        "A chunked body that two parsers could read differently is refused",
        arguments: [
            "5 \r\nhello\r\n", " 5\r\nhello\r\n", "+5\r\nhello\r\n", "-5\r\nhello\r\n", "0x5\r\nhello\r\n", "\r\n",
            "5\nhello\r\n", "5\r\nhelloX\r\n", "5\r\nhello\n", "5\r\nhello\r0\r\n\r\n", "g\r\n", ";a\r\n",
            "FFFFFFFFFFFFFFFF\r\n", "8000000000000000\r\n", "00000000000000005\r\nhello\r\n", "5;a\nb\r\nhello\r\n",
            "5;a\u{0}\r\nhello\r\n", "5;\(String(repeating: "a", count: 2000))\r\nhello\r\n", "0\r\n x: y\r\n\r\n",
            "0\r\nx y\r\n\r\n", "0\r\nx\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nx: y\nz: a\r\n\r\n", "0\r\n\n", "0\r\n\rX",
            "0\r\nx: \(String(repeating: "a", count: 9000))\r\n\r\n",
        ])
    func refused(_ body: String) {
        let bytes = Array((Self.chunked + body).utf8)
        #expect(Outcome([bytes]).status == 400)
        #expect(Outcome(bytes.map { [$0] }).status == 400)
    }

    @Test("Mutated requests never trap, and mean the same however they are cut", arguments: 0..<24)
    func fuzz(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<250 {
            let (head, body, _) = Self.whole.randomElement(using: &random) ?? Self.whole[0]
            let bytes = Array((head + body).utf8).mutated(&random)
            let expected = Outcome([bytes])
            #expect(Outcome(bytes.cut(&random)) == expected)
            #expect(Outcome(bytes.cut(&random), decoding: false).rawBody == expected.rawBody)
            if expected.status == nil, expected.isComplete {
                #expect(
                    bytes.suffix(expected.rawBody.count + expected.rest.count).elementsEqual(
                        expected.rawBody + expected.rest))
            }
        }
    }

    @Test("What the chunked encoder writes, the reader reads")
    func encoder() throws {
        var buffer = ChunkedEncoding.chunk(ByteBuffer(string: "hello"))
        #expect(ChunkedEncoding.chunk(ByteBuffer()).readableBytes == 0)
        buffer.writeImmutableBuffer(ChunkedEncoding.end)
        var reader = BodyReader(BodyFraming.chunked)
        var payload = ByteBuffer()
        while let part = try reader.next(&buffer) { payload.writeImmutableBuffer(part.payload ?? ByteBuffer()) }
        #expect(reader.isComplete)
        #expect(String(buffer: payload) == "hello")
    }

    @Test("A frame's header survives the round trip; other bytes are refused")
    func frames() throws {
        var buffer = RawStreamFrame.frame(.stderr, ByteBuffer(string: "oops"))
        #expect(Array(buffer.readableBytesView.prefix(8)) == [2, 0, 0, 0, 0, 0, 0, 4])
        #expect(try RawStreamFrame.read(&buffer) == RawStreamFrame(kind: .stderr, size: 4))
        #expect(try RawStreamFrame.read(&buffer) == nil)
        var bad = ByteBuffer(bytes: [1, 0, 1, 0, 0, 0, 0, 4])
        #expect(throws: HTTPError.self) { try RawStreamFrame.read(&bad) }
    }
}
