import NIOCore
import NIOEmbedded
import Testing

@testable import Link

/// What a peer may not send, each as the frames that lead to it.
struct Offence: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var frames: [FrameHeader] = []
    var bytes: [UInt8] = []

    static let all: [Offence] = [
        Offence(testDescription: "another version", bytes: [9, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        Offence(testDescription: "an unknown kind", bytes: [0, 77, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        Offence(testDescription: "text", bytes: Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)),
        Offence(testDescription: "data for stream 0", frames: [.data(0, length: 0)]),
        Offence(testDescription: "an opening of stream 0", frames: [.windowUpdate(0, .syn, delta: 0)]),
        Offence(testDescription: "the other end's number", frames: [.windowUpdate(2, .syn, delta: 0)]),
        Offence(
            testDescription: "a number twice",
            frames: [.windowUpdate(1, .syn, delta: 0), .windowUpdate(1, .syn, delta: 0)]),
        Offence(
            testDescription: "a number again after its reset",
            frames: [.windowUpdate(1, .syn, delta: 0), .windowUpdate(1, .rst, delta: 0), .data(1, .syn, length: 0)]),
        Offence(testDescription: "a stream that was never opened", frames: [.data(5, length: 0)]),
        Offence(testDescription: "a stream of ours that was never opened", frames: [.windowUpdate(4, delta: 1)]),
        Offence(testDescription: "too many numbers left out", frames: [.windowUpdate(99_999, .syn, delta: 0)]),
        Offence(
            testDescription: "data beyond the window",
            frames: [.windowUpdate(1, .syn, delta: 0), .data(1, length: (256 << 10) + 1)]),
        Offence(testDescription: "4 GiB in a frame", frames: [.data(1, .syn, length: .max)]),
        Offence(
            testDescription: "two ends",
            frames: [.windowUpdate(1, .syn, delta: 0), .data(1, .fin, length: 0), .data(1, .fin, length: 0)]),
        Offence(
            testDescription: "data after the end",
            frames: [.windowUpdate(1, .syn, delta: 0), .data(1, .fin, length: 0), .data(1, length: 3)]),
        Offence(
            testDescription: "a window beyond 4 GiB",
            frames: [.windowUpdate(1, .syn, delta: .max), .windowUpdate(1, delta: .max)]),
    ]
}

@Suite("Peers that break the rules")
struct RuleBreakingTests {
    @Test("Each offence ends that link with a protocol error, and no other", arguments: Offence.all)
    func isCutOff(_ offence: Offence) throws {
        let offender = try RawPeer()
        let bystander = try MemoryPair()
        defer { offender.finish() }
        _ = try offender.sent()
        for frame in offence.frames { offender.send(frame) }
        if !offence.bytes.isEmpty { offender.send(offence.bytes) }
        let last = Array(try offender.sent().suffix(12))
        #expect(last == [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        #expect(offender.isClosed)
        #expect((offender.closedBecause as? LinkError)?.code == .protocolViolation)
        #expect(!offender.channel.isActive)

        let stream = try bystander.open()
        stream.write("unharmed")
        try bystander.pump()
        #expect(bystander.accepted.first?.recorder.text == "unharmed")
    }

    @Test("A peer that floods with pings and reads nothing is cut off before it costs memory")
    func flood() throws {
        let peer = try RawPeer()
        defer { peer.finish() }
        peer.channel.isWritable = false
        for value in 0..<10_000 where !peer.isClosed { peer.send(.ping(UInt32(value), .syn)) }
        #expect((peer.closedBecause as? LinkError)?.code == .protocolViolation)
    }

    @Test("A go-away with an error ends the link, with who complained", arguments: [1, 2, 99])
    func goAway(code: UInt32) throws {
        let peer = try RawPeer()
        defer { peer.finish() }
        peer.send(FrameHeader(kind: .goAway, length: code))
        let expected: LinkError.Code = code == 1 ? .protocolViolation : .peerWentAway
        #expect((peer.closedBecause as? LinkError)?.code == expected)
    }

    @Test("A friendly go-away lets open streams finish")
    func friendlyGoAway() throws {
        let peer = try RawPeer()
        defer { peer.finish() }
        peer.send(.windowUpdate(1, .syn, delta: 0))
        peer.send(.goAway(.normal))
        #expect(!peer.isClosed)
        peer.send(.data(1, length: 2), payload: [1, 2])
        peer.send(.windowUpdate(1, .rst, delta: 0))
        #expect(peer.isClosed)
    }
}
