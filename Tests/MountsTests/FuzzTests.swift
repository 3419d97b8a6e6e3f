import NIOCore
import Testing

@testable import Mounts

struct FuzzTests {
    private static let path = TreePath(Array("some/path".utf8)) ?? .root
    private static let entry = Entry(
        kind: .file, mode: 0o644, owner: 1, group: 2, modified: 3, size: 4, digest: Digest(of: [5]), attributes: 6)

    private static func with(_ kind: Entry.Kind) -> Entry {
        var entry = entry
        entry.kind = kind
        return entry
    }

    /// The digest of a small file is made from its content, wherever it is.
    private static let small: Entry = {
        var small = Self.entry
        small.digest = Digest(of: Array("content".utf8))
        return small
    }()

    private static let attributes: ExtendedAttributes = {
        var attributes = ExtendedAttributes.none
        _ = attributes.append(Array("user.a".utf8), [1, 2, 3])
        return attributes
    }()

    static let messages: [Message] =
        [
            .hello(Message.Hello(side: .origin, isFile: true, isPrivileged: false, compresses: true)),
            .rules(Array("*.o".utf8)),
            .buckets(mirror: .zero, [Fingerprint(high: 1, low: 2)]), .list([1, 2, 3]), .listed(7), .probe(8),
            .entries([Message.Listed(path: path, entry: entry), Message.Listed(path: .root, entry: nil)]),
            .chunks(1, [Message.ChunkMark(digest: Digest(of: [1]), length: 9, isZero: true)]), .needs(1, [0, 1]),
            .data(1, offset: 2, ByteBuffer(string: "data")), .hole(1, offset: 2, length: 3), .commit(1, entry),
            .abort(1), .done(1, .applied), .done(2, .failed("why")), .done(3, .kept), .done(4, .changed),
            .want(Message.Want(id: 1, path: path, comparesChunks: false, allowsTwin: true)), .settled,
        ]
        + [
            .remove, .rename(Array("name".utf8)), .folder(with(.folder), attributes),
            .link(with(.link), text: Array("to".utf8)), .twin(entry, path: path), .settle(entry, attributes),
            .file(small, attributes, ByteBuffer(string: "content")),
            .begin(entry, .none, comparesChunks: true),
        ].map { .place(Message.Operation(id: 1, path: path, expected: 2, action: $0)) }

    @Test("Every message is read as it was written", arguments: messages)
    func roundTrip(message: Message) throws {
        var buffer = ByteBuffer()
        message.write(into: &buffer)
        var decoder = MessageDecoder()
        // Byte by byte, as a pipe may cut it.
        for byte in buffer.readableBytesView.dropLast() {
            decoder.feed(ByteBuffer(bytes: [byte]))
            #expect(try decoder.next() == nil)
        }
        decoder.feed(ByteBuffer(bytes: buffer.readableBytesView.suffix(1)))
        #expect(try decoder.next() == message)
        #expect(!decoder.isMidway)
    }

    @Test("Random bytes and damaged streams are refused or read, never worse", arguments: 0..<20)
    func garbage(seed: Int) {
        var noise = Noise(seed: UInt64(seed))
        var refused = 0
        for _ in 0..<300 {
            var buffer = ByteBuffer()
            if Bool.random(using: &noise) {
                for _ in 0..<3 { Self.messages.randomElement(using: &noise)?.write(into: &buffer) }
                for _ in 0..<Int.random(in: 1...4, using: &noise) {
                    let index = Int.random(in: 0..<buffer.readableBytes, using: &noise)
                    buffer.setInteger(UInt8.random(in: 0...255, using: &noise), at: index)
                }
            } else {
                let bytes = Noise(seed: noise.next()).bytes(Int.random(in: 0...600, using: &noise))
                buffer.writeInteger(UInt32(bytes.count))
                buffer.writeBytes(bytes)
            }
            var decoder = MessageDecoder()
            decoder.feed(buffer)
            do throws(MountError) { while try decoder.next() != nil {} } catch {
                #expect(error.code == .protocolViolation)
                refused += 1
            }
        }
        #expect(refused > 100)
    }

    @Test(
        "A path that could lead out of the root is none",
        arguments: ["..", "a/..", "../a", "a/../b", "/a", "a/", "a//b", ".", "a/./b", "a\0b"])
    func paths(text: String) {
        #expect(TreePath(Array(text.utf8)) == nil)
    }

    @Test("A length that is too large is refused before anything is allocated")
    func length() {
        var decoder = MessageDecoder()
        decoder.feed(ByteBuffer(integer: UInt32.max))
        #expect(throws: MountError.self) { try decoder.next() }
    }
}
