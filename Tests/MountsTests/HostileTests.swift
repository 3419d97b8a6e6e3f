import Compression
import Glibc
import LighterTesting
import NIOCore
import Synchronization
import Testing

@testable import Mounts

/// One regular side, and a peer that sends what a test tells it to.
private struct Trap {
    let rig: Rig
    let wire = MemoryWire()
    let peer: MountSide

    /// Sends `messages` after a regular beginning; returns how the session ended and what it answered.
    func spring(
        _ messages: [Message], _ more: ByteBuffer = ByteBuffer()
    ) async throws -> (error: MountError?, answers: [Message]) {
        let side: MountSide = peer == .origin ? .target : .origin
        let pipe = peer == .origin ? wire.origin : wire.target
        let session = MountSession(
            side: side, root: rig.root(side), options: rig.options(side),
            pipe: side == .origin ? wire.origin : wire.target, pool: testPool)
        return try await withThrowingTaskGroup(of: MountError?.self) { group in
            group.addTask { [wire] in
                // Its caller closes the pipe once it has ended.
                defer { wire.close() }
                do throws(MountError) { try await session.run() } catch { return error }
                return nil
            }
            var buffer = ByteBuffer()
            for message in messages { message.write(into: &buffer) }
            buffer.writeImmutableBuffer(more)
            try await pipe.send(buffer)
            // The session ends by itself, or when it has answered everything.
            var decoder = MessageDecoder()
            var answers: [Message] = []
            let wanted = messages.count { if case .place = $0 { true } else { false } }
            do {
                outer: for try await bytes in pipe.inbound {
                    decoder.feed(bytes)
                    while let message = try decoder.next() {
                        answers.append(message)
                        if answers.count(where: { if case .done = $0 { true } else { false } }) == wanted {
                            break outer
                        }
                    }
                }
            }
            wire.close()
            return (try await group.next() ?? nil, answers)
        }
    }

    static func hello(_ side: MountSide, compresses: Bool = false) -> Message {
        .hello(Message.Hello(side: side, isFile: false, isPrivileged: geteuid() == 0, compresses: compresses))
    }
}

@Suite(.timeLimit(.minutes(2)))
struct HostileTests {
    private static func entry(_ kind: Entry.Kind, _ content: [UInt8] = [], size: Int64? = nil) -> Entry {
        Entry(
            kind: kind, mode: 0o644, owner: 0, group: 0, modified: 1_000_000_000, size: size ?? Int64(content.count),
            digest: kind == .folder ? .zero : Digest(of: content), attributes: 0)
    }

    private static func file(_ path: String, _ text: String, id: UInt32 = 1) throws -> Message {
        let content = Array(text.utf8)
        return .place(
            Message.Operation(
                id: id, path: try #require(TreePath(Array(path.utf8))), expected: 0,
                action: .file(entry(.file, content), .none, ByteBuffer(bytes: content))))
    }

    private static let start: [Message] = [Trap.hello(.origin), .rules([]), .list([])]

    @Test("A file below a link that leads out is refused, and nothing is written there")
    func links() async throws {
        let rig = try Rig()
        try rig.whole.folder("target")
        try rig.whole.folder("outside")
        try rig.target.link("door", to: "../outside")
        let trap = Trap(rig: rig, peer: .origin)
        let (_, answers) = try await trap.spring(
            Self.start + [try Self.file("door/file", "evil"), try Self.file("good", "fine", id: 2)])
        #expect(answers.contains(.done(1, .changed)))
        #expect(answers.contains(.done(2, .applied)))
        #expect(rig.whole.names("outside").isEmpty)
        #expect(rig.target.text("good") == "fine")
    }

    @Test("A link that the peer itself makes is not followed either")
    func ownLinks() async throws {
        let rig = try Rig()
        try rig.whole.folder("target")
        try rig.whole.folder("outside")
        try rig.whole.write("outside/victim", "v")
        let door = try #require(TreePath(Array("door".utf8)))
        let text = Array("../outside".utf8)
        let link = Message.place(
            Message.Operation(id: 1, path: door, expected: 0, action: .link(Self.entry(.link, text), text: text)))
        let remove = Message.place(
            Message.Operation(
                id: 3, path: try #require(TreePath(Array("door/victim".utf8))), expected: 0, action: .remove))
        let trap = Trap(rig: rig, peer: .origin)
        let (_, answers) = try await trap.spring(
            Self.start + [link, try Self.file("door/file", "evil", id: 2), remove])
        #expect(answers.contains(.done(1, .applied)))
        #expect(answers.contains(.done(2, .changed)))
        #expect(rig.whole.names("outside") == ["victim"])
    }

    @Test("A name that leads out ends the session")
    func names() async throws {
        let rig = try Rig()
        // What no value of `TreePath` can say: the bytes of a regular message, with the path replaced.
        var buffer = ByteBuffer()
        try Self.file("aa/bb", "evil").write(into: &buffer)
        let bytes = Array(buffer.readableBytesView)
        let index = try #require(bytes.indices.first { bytes[$0...].starts(with: Array("aa/bb".utf8)) })
        buffer.setBytes(Array("../bb".utf8), at: index)
        buffer.moveReaderIndex(forwardBy: 4)
        #expect(throws: MountError.self) { _ = try Message(buffer) }
        #expect(!rig.whole.exists("bb"))
    }

    @Test("Content that is not what its digest says is not installed")
    func lies() async throws {
        let rig = try Rig()
        let path = try #require(TreePath(Array("file".utf8)))
        var entry = Self.entry(.file, Array("honest".utf8))
        entry.size = 4
        let lie = [
            Message.place(
                Message.Operation(
                    id: 1, path: path, expected: 0, action: .begin(entry, .none, comparesChunks: false))),
            .data(1, offset: 0, ByteBuffer(string: "evil")), .commit(1, entry),
        ]
        let (_, answers) = try await Trap(rig: rig, peer: .origin).spring(Self.start + lie)
        #expect(answers.contains(.done(1, .changed)))
        #expect(rig.target.names().isEmpty)
    }

    @Test("Bytes outside of a file's size, and holes of any length, end the session")
    func outside() async throws {
        let path = try #require(TreePath(Array("file".utf8)))
        let begin = Message.place(
            Message.Operation(
                id: 1, path: path, expected: 0,
                action: .begin(Self.entry(.file, size: .max), .none, comparesChunks: false)))
        for evil in [
            Message.data(1, offset: .max, ByteBuffer(string: "x")), .hole(1, offset: 0, length: .max),
            .hole(1, offset: .max, length: .max),
        ] {
            let rig = try Rig()
            let (error, _) = try await Trap(rig: rig, peer: .origin).spring(Self.start + [begin, evil])
            #expect(error?.code == .protocolViolation)
            #expect(rig.target.names().isEmpty)
        }
    }

    @Test("A target cannot place what was not asked for, nor remove anything at the device")
    func unasked() async throws {
        for action in [Message.Action.remove, .rename(Array("other".utf8))] {
            let rig = try Rig()
            try rig.origin.write("file", "f")
            let path = try #require(TreePath(Array("file".utf8)))
            let operation = Message.Operation(id: 1, path: path, expected: 0, action: action)
            let (error, _) = try await Trap(rig: rig, peer: .target).spring([
                Trap.hello(.target), .buckets(mirror: .zero, [.zero]), .listed(.max), .place(operation),
            ])
            #expect(error?.code == .protocolViolation)
            #expect(rig.origin.text("file") == "f")
        }
    }

    @Test("A session that meets its own side, another protocol, or silence, says so")
    func strangers() async throws {
        let rig = try Rig()
        let (same, _) = try await Trap(rig: rig, peer: .origin).spring([Trap.hello(.target)])
        #expect(same?.code == .protocolViolation)
        let (rude, _) = try await Trap(rig: rig, peer: .origin).spring([.settled])
        #expect(rude?.code == .protocolViolation)
    }

    @Test("What cannot be decompressed ends the session, and so does a bomb", .serialized, arguments: 0..<12)
    func compression(seed: Int) async throws {
        let rig = try Rig()
        try rig.whole.folder("target")
        var noise = Noise(seed: UInt64(seed))
        let compressor = try ZstdCompressor()
        var evil: ByteBuffer
        if seed == 0 {
            // Gigabytes of a message that may not be so long.
            let zeros = ByteBuffer(repeating: 0xff, count: 1 << 20)
            evil = ByteBuffer()
            for _ in 0..<2048 { evil.writeImmutableBuffer(try compressor.flush(zeros)) }
            #expect(evil.readableBytes < 1 << 20)
        } else {
            var plain = ByteBuffer()
            for message in Self.start.dropFirst() { message.write(into: &plain) }
            try Self.file("file", String(repeating: "text ", count: 1000)).write(into: &plain)
            var bytes = Array(try compressor.flush(plain).readableBytesView)
            for _ in 0..<3 {
                bytes[Int(noise.next() % UInt64(bytes.count))] ^= UInt8(truncatingIfNeeded: noise.next() | 1)
            }
            evil = ByteBuffer(bytes: seed == 1 ? Array("no zstd at all".utf8) : bytes)
        }
        let (error, _) = try await Trap(rig: rig, peer: .origin).spring([Trap.hello(.origin, compresses: true)], evil)
        // Some damage is only in what a message says; of a stream's end in the middle the pipe tells.
        if seed < 2 { #expect(error?.code == .protocolViolation) }
        // Nor is it told from what another stream would say: that is the link's to see to.
        #expect(rig.target.names().count <= 1)
        #expect(!rig.target.hasTemporaryFiles)
    }

    @Test("Folders swapped for links while files arrive never let one out")
    func swaps() async throws {
        let rig = try Rig()
        try rig.whole.folder("target")
        try rig.whole.folder("outside")
        try rig.target.folder("real")
        try rig.target.link("fake", to: "../outside")
        let isOver = Atomic(false)
        async let swapping: Void = {
            // Exchanged as fast as the machine can, until the session is over.
            while !isOver.load(ordering: .relaxed) {
                try rig.target.rename("real", to: "held")
                try rig.target.rename("fake", to: "real")
                try rig.target.rename("real", to: "fake")
                try rig.target.rename("held", to: "real")
                await Task.yield()
            }
        }()
        let files = try (1...200).map { try Self.file("real/\($0)", "content", id: UInt32($0)) }
        let (_, answers) = try await Trap(rig: rig, peer: .origin).spring(Self.start + files)
        isOver.store(true, ordering: .relaxed)
        try await swapping
        #expect(answers.count { if case .done = $0 { true } else { false } } == 200)
        #expect(rig.whole.names("outside").isEmpty)
    }
}
