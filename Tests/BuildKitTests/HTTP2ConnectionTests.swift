import NIOCore
import Testing

@testable import BuildKit

@Suite("An HTTP/2 connection")
struct HTTP2ConnectionTests {
    /// A client and a server whose bytes are each other's.
    private struct Pair {
        var client = HTTP2Connection(.client)
        var server = HTTP2Connection(.server)

        init() throws { try settle() }

        /// Passes bytes in pieces of a size until nobody has more to say.
        @discardableResult
        mutating func settle(piece: Int = .max) throws -> (
            client: [HTTP2Connection.Event], server: [HTTP2Connection.Event]
        ) {
            var heard: (client: [HTTP2Connection.Event], server: [HTTP2Connection.Event]) = ([], [])
            while client.hasOutput || server.hasOutput {
                heard.server += try Self.pass(client.drain().bytes, to: &server, piece)
                heard.client += try Self.pass(server.drain().bytes, to: &client, piece)
            }
            return heard
        }

        private static func pass(
            _ bytes: ByteBuffer, to other: inout HTTP2Connection, _ piece: Int
        ) throws -> [HTTP2Connection.Event] {
            var bytes = bytes
            var events: [HTTP2Connection.Event] = []
            while let part = bytes.readSlice(length: min(piece, bytes.readableBytes)), part.readableBytes > 0 {
                events += try other.receive(part)
            }
            return events
        }
    }

    private static let request = GRPC.request("/a.B/C", [HeaderField("x", String(repeating: "y", count: 40_000))])

    private static func frame(_ kind: HTTP2Connection.Kind, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8])
        -> ByteBuffer
    {
        var out = ByteBuffer()
        HTTP2Connection.write(kind, flags, stream, ByteBuffer(bytes: payload), to: &out)
        return out
    }

    /// A server that has heard the beginning of a connection.
    private static func server() throws -> HTTP2Connection {
        var server = HTTP2Connection(.server)
        _ = try server.receive(ByteBuffer(bytes: HTTP2Connection.preface))
        _ = try server.receive(frame(.settings, 0, 0, []))
        _ = server.drain()
        return server
    }

    private static let head = Array(HPACKEncoder.encode([HeaderField(":path", "/")]).readableBytesView)

    @Test("carries calls in pieces of any size", arguments: [1, 7, 8192, Int.max])
    func call(piece: Int) throws {
        var pair = try Pair()
        let id = pair.client.open(Self.request, ends: false)
        pair.client.send(ByteBuffer(string: "question"), on: id, ends: true)
        let asked = try pair.settle(piece: piece).server
        #expect(
            asked == [
                .head(id, Self.request, ends: false), .data(id, ByteBuffer(string: "question"), ends: true),
            ])
        pair.server.send(GRPC.head, on: id, ends: false)
        pair.server.send(ByteBuffer(string: "answer"), on: id, ends: false)
        pair.server.send(GRPC.success, on: id, ends: true)
        let answered = try pair.settle(piece: piece).client
        #expect(
            answered == [
                .head(id, GRPC.head, ends: false), .data(id, ByteBuffer(string: "answer"), ends: false),
                .head(id, GRPC.success, ends: true),
            ])
        #expect(pair.client.takeClosed() == [id] && pair.server.takeClosed() == [id])
        #expect(!pair.client.has(id) && !pair.server.has(id))
    }

    @Test("sends no more of a stream than its peer has taken, and other streams go on")
    func windows() throws {
        var pair = try Pair()
        let (slow, fast) = (pair.client.open(Self.request, ends: false), pair.client.open(Self.request, ends: false))
        pair.client.send(ByteBuffer(repeating: 1, count: 1 << 20), on: slow, ends: true)
        func count(_ events: [HTTP2Connection.Event], _ wanted: UInt32) -> Int {
            events.reduce(0) { sum, event in
                if case .data(wanted, let data, _) = event { sum + data.readableBytes } else { sum }
            }
        }
        #expect(count(try pair.settle().server, slow) == HTTP2Connection.streamWindow)
        pair.client.send(ByteBuffer(string: "x"), on: fast, ends: true)
        #expect(count(try pair.settle().server, fast) == 1)
        #expect(pair.client.queuedBytes == (1 << 20) - HTTP2Connection.streamWindow)
        pair.server.consumed(100_000, on: slow)
        #expect(count(try pair.settle().server, slow) == 100_000)
        pair.client.reset(slow, HTTP2Error.Code.cancel.rawValue)
        #expect(try pair.settle().server == [.reset(slow, code: 8)])
        #expect(pair.client.queuedBytes == 0)
    }

    @Test("gives back the whole connection's window for streams that were cut short")
    func cutStreams() throws {
        var pair = try Pair()
        for _ in 0..<40 {
            let id = pair.client.open(Self.request, ends: false)
            pair.client.send(ByteBuffer(repeating: 1, count: HTTP2Connection.streamWindow), on: id, ends: false)
            let arrived = try pair.settle().server.count { if case .data = $0 { true } else { false } }
            #expect(arrived == HTTP2Connection.streamWindow / HTTP2Connection.frameLimit)
            pair.server.reset(id, HTTP2Error.Code.cancel.rawValue)
            try pair.settle()
        }
    }

    @Test("answers pings, and passes over frames that it does not know")
    func ping() throws {
        var server = try Self.server()
        var odd = Self.frame(.ping, 0, 0, [])
        odd.setInteger(UInt8(99), at: 3)
        #expect(try server.receive(odd).isEmpty)
        _ = try server.receive(Self.frame(.ping, 0, 0, Array(0..<8)))
        #expect(server.drain().bytes == Self.frame(.ping, HTTP2Connection.Flag.ack, 0, Array(0..<8)))
    }

    @Test(
        "ends at what no honest peer sends",
        arguments: [
            [frame(.data, 0, 1, [1])], [frame(.headers, 4, 0, head)], [frame(.headers, 4, 2, head)],
            [frame(.headers, 4, 3, head), frame(.headers, 4, 1, head), frame(.data, 0, 5, [])],
            [frame(.headers, 0, 1, head), frame(.ping, 0, 0, Array(0..<8))],
            [frame(.headers, 0, 1, head), frame(.continuation, 4, 3, [])], [frame(.continuation, 4, 1, head)],
            [frame(.headers, 4, 1, [0xff])], [frame(.headers, 4 | 8, 1, [9, 1])], [frame(.headers, 4 | 0x20, 1, [0])],
            [frame(.headers, 5, 1, head), frame(.data, 0, 1, [1])],
            [frame(.headers, 0, 1, head)] + Array(repeating: frame(.continuation, 0, 1, []), count: 2),
            [frame(.headers, 0, 1, head)]
                + Array(repeating: frame(.continuation, 0, 1, Array(repeating: 0, count: 16_000)), count: 5),
            [frame(.reset, 0, 1, [0, 0, 0, 1])], [frame(.reset, 0, 0, [0, 0, 0, 1])], [frame(.settings, 0, 0, [1])],
            [frame(.settings, 0, 0, [0, 4, 0xff, 0xff, 0xff, 0xff])], [frame(.settings, 0, 0, [0, 5, 0, 0, 0, 1])],
            [frame(.ping, 0, 0, [1])], [frame(.windowUpdate, 0, 0, [0, 0, 0, 0])],
            [frame(.windowUpdate, 0, 0, [0x7f, 0xff, 0xff, 0xff])], [frame(.pushPromise, 0, 1, head)],
            [frame(.data, 0, 1, Array(repeating: 0, count: (16 << 10) + 1))], [frame(.goAway, 0, 1, [0, 0, 0, 0])],
        ])
    func hostile(frames: [ByteBuffer]) throws {
        var server = try Self.server()
        #expect(throws: HTTP2Error.self) {
            for frame in frames { _ = try server.receive(frame) }
        }
    }

    @Test("ends when more data comes than the window allows, and when its answers are not read")
    func floods() throws {
        var server = try Self.server()
        _ = try server.receive(Self.frame(.headers, 4, 1, Self.head))
        let data = Self.frame(.data, 0, 1, Array(repeating: 0, count: 16 << 10))
        #expect(throws: HTTP2Error.self) { for _ in 0..<17 { _ = try server.receive(data) } }
        var other = try Self.server()
        #expect(throws: HTTP2Error.self) {
            for _ in 0..<20_000 { _ = try other.receive(Self.frame(.ping, 0, 0, Array(0..<8))) }
        }
    }

    @Test("does not begin with anything else", arguments: ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1"])
    func beginnings(text: String) {
        var server = HTTP2Connection(.server)
        #expect(throws: HTTP2Error.self) { try server.receive(ByteBuffer(string: text)) }
        var client = HTTP2Connection(.client)
        #expect(throws: HTTP2Error.self) { try client.receive(Self.frame(.ping, 0, 0, Array(0..<8))) }
    }

    @Test("refuses streams beyond its number, and goes on")
    func many() throws {
        var server = try Self.server()
        for number in 0..<300 {
            let events = try server.receive(Self.frame(.headers, 4, UInt32(number * 2 + 1), Self.head))
            #expect(events.isEmpty == (number >= HTTP2Connection.maximumStreams))
        }
    }
}

@Suite("Messages of gRPC and protobuf")
struct MessageTests {
    @Test("are taken out of data as it comes, in their order", arguments: [1, 3, 100])
    func messages(piece: Int) throws {
        var data = GRPC.frame(ByteBuffer(string: "one"))
        data.writeImmutableBuffer(GRPC.frame(ByteBuffer()))
        data.writeImmutableBuffer(GRPC.frame(ByteBuffer(string: "three")))
        var reader = GRPCReader(limit: 10)
        var found: [String] = []
        while let part = data.readSlice(length: min(piece, data.readableBytes)), part.readableBytes > 0 {
            reader.add(part)
            while let message = try reader.next() { found.append(String(buffer: message)) }
        }
        #expect(found == ["one", "", "three"] && reader.isEmpty)
    }

    @Test(
        "are refused when they are long or packed",
        arguments: [[0, 0, 0, 0, 11], [1, 0, 0, 0, 1], [0, 255, 0, 0, 0]])
    func refused(bytes: [UInt8]) {
        var reader = GRPCReader(limit: 10)
        reader.add(ByteBuffer(bytes: bytes))
        #expect(throws: HTTP2Error.self) { try reader.next() }
    }

    @Test("keep what is not known of them")
    func fields() throws {
        let bytes: [UInt8] = [
            0x08, 0x96, 1, 0x12, 2, 0x68, 0x69, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x10, 5,
        ]
        let message = try ProtoMessage(ByteBuffer(bytes: bytes))
        #expect(message.number(1) == 150 && message.text(2) == "hi" && message.number(2) == 5)
        #expect(message.buffer == ByteBuffer(bytes: bytes))
    }

    @Test(
        "are refused when they are broken",
        arguments: [
            [0x08], [0x12, 5, 1], [0x0b], [0x00, 1], [0x19, 1], [0x25, 1], [0x08] + Array(repeating: 0xff, count: 10),
            [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] as [[UInt8]])
    func broken(bytes: [UInt8]) {
        #expect(throws: ProtoMessage.Malformed.self) { try ProtoMessage(ByteBuffer(bytes: bytes)) }
    }

    @Test("tell failures in ASCII")
    func failure() {
        #expect(GRPC.failure(2, "50 % é\n").first("grpc-message") == "50 %25 %C3%A9%0A")
    }
}
