import SwiftProtobuf
import Testing

@testable import Wire

@Suite("Framing")
struct FramingTests {
    private func failure(_ text: String) -> Lighter_V1_Failure {
        .with {
            $0.code = "invalid"
            $0.message = text
        }
    }

    @Test("Messages come out whole and in order, however the bytes are cut", arguments: [1, 2, 3, 7, 64, 5000])
    func cuts(size: Int) throws {
        let messages = [0, 1, 127, 128, 300, 20_000].map { failure(String(repeating: "x", count: $0)) }
        var bytes: [UInt8] = []
        for message in messages { try Framing.encode(message, into: &bytes) }
        var decoder = DelimitedDecoder()
        var seen: [Lighter_V1_Failure] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            decoder.feed(bytes[start..<min(start + size, bytes.count)])
            while let message = try decoder.next(Lighter_V1_Failure.self) { seen.append(message) }
        }
        #expect(seen == messages)
        #expect(decoder.unread.isEmpty)
    }

    @Test("An empty message is one zero byte")
    func empty() throws {
        #expect(try Framing.encode(Lighter_V1_Done()) == [0])
        var decoder = DelimitedDecoder()
        decoder.feed([0])
        #expect(try decoder.next(Lighter_V1_Done.self) == Lighter_V1_Done())
        #expect(try decoder.next(Lighter_V1_Done.self) == nil)
    }

    @Test("What follows a stream's first message stays unread, verbatim")
    func rest() throws {
        let open = Lighter_V1_StreamOpen.with { $0.docker.purpose = "create" }
        let http = Array("POST /containers/create HTTP/1.1\r\n".utf8)
        var decoder = DelimitedDecoder()
        decoder.feed(try Framing.encode(open) + http)
        #expect(try decoder.next(Lighter_V1_StreamOpen.self) == open)
        #expect(decoder.unread == http)
    }

    @Test("Every truncation of a frame waits for more")
    func truncated() throws {
        let bytes = try Framing.encode(failure(String(repeating: "y", count: 200)))
        for end in 0..<bytes.count {
            var decoder = DelimitedDecoder()
            decoder.feed(bytes[..<end])
            #expect(try decoder.next(Lighter_V1_Failure.self) == nil)
            #expect(decoder.unread.count == end)
        }
    }

    @Test("A length over the limit is refused before any of the message comes, and for good")
    func oversize() throws {
        var decoder = DelimitedDecoder(limit: 100)
        decoder.feed([101])
        for _ in 0..<2 {
            let error = #expect(throws: WireError.self) { try decoder.next(Lighter_V1_Failure.self) }
            #expect(error?.code == .oversize)
        }
        decoder.feed([UInt8](repeating: 0, count: 101))
        #expect(#expect(throws: WireError.self) { try decoder.next(Lighter_V1_Failure.self) }?.code == .oversize)
    }

    @Test("A message at the limit passes, and one above is not sent")
    func limit() throws {
        let message = failure(String(repeating: "z", count: 50))
        let size = try (message.serializedBytes() as [UInt8]).count
        var decoder = DelimitedDecoder(limit: size)
        decoder.feed(try Framing.encode(message, limit: size))
        #expect(try decoder.next(Lighter_V1_Failure.self) == message)
        var bytes: [UInt8] = [1, 2]
        #expect(throws: WireError.self) { try Framing.encode(message, into: &bytes, limit: size - 1) }
        #expect(bytes == [1, 2])
    }

    @Test(
        "A length that never ends, and a body that is no message, are malformed",
        arguments: [
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80], [0xff, 0xff, 0xff, 0xff, 0xff], [2, 0x0a, 0x05], [1, 0xff],
        ] as [[UInt8]])
    func malformed(bytes: [UInt8]) {
        var decoder = DelimitedDecoder()
        decoder.feed(bytes)
        #expect(#expect(throws: WireError.self) { try decoder.next(Lighter_V1_Failure.self) }?.code == .malformed)
    }

    @Test("Random bytes end in messages, in waiting or in an error, never in a trap", arguments: UInt64(1)...100)
    func fuzz(seed: UInt64) throws {
        var draw = RandomNouns(seed: seed)
        var bytes: [UInt8] = []
        for _ in 0..<20 {
            if draw.flag() {
                let workload = try draw.workload()
                try Framing.encode(
                    Lighter_V1_Envelope.with { $0.report.workloads = [Lighter_V1_WorkloadMessage(workload)] },
                    into: &bytes)
            } else {
                bytes += (0..<draw.count(30)).map { _ in UInt8(truncatingIfNeeded: draw.word()) }
            }
        }
        var decoder = DelimitedDecoder(limit: 1 << 16)
        var fed = 0
        do {
            while fed < bytes.count {
                let size = min(draw.count(200), bytes.count - fed)
                decoder.feed(bytes[fed..<fed + size])
                fed += size
                while try decoder.next(Lighter_V1_Envelope.self) != nil {}
            }
            #expect(decoder.unread.count <= bytes.count)
        } catch {
            #expect(error.code == .oversize || error.code == .malformed)
        }
    }
}
