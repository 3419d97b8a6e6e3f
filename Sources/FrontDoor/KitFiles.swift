internal import BuildKit
internal import Engine
internal import NIOCore

/// One file of a build's that BuildKit asks its client for.
struct KitFile: Sendable, Hashable {
    var path: String
    var bytes: ByteBuffer
    /// When it was changed, in nanoseconds since 1970.
    var changed: UInt64
}

/// A packet in the protocol by which BuildKit is given a client's files.
private enum Packet {
    static let stat: UInt64 = 0
    static let request: UInt64 = 1
    static let data: UInt64 = 2
    static let finish: UInt64 = 3

    static func make(_ kind: UInt64, id: UInt64 = 0, data: ByteBuffer? = nil, stat: ProtoMessage? = nil) -> ByteBuffer {
        var packet = ProtoMessage()
        if kind != Self.stat { packet.add(1, kind) }
        if let stat { packet.add(2, stat) }
        if id != 0 { packet.add(3, id) }
        if let data, data.readableBytes > 0 { packet.add(4, data) }
        return GRPC.frame(packet.buffer)
    }
}

/// What both sides of the protocol call.
enum KitFileService {
    static let path = "/moby.filesync.v1.FileSync/DiffCopy"
    /// The folder where a client has its Dockerfile.
    static let folder = "dockerfile"
    /// Of one packet, in bytes.
    static let packetLimit = 4 << 20
}

/// Reads a few files out of a client's folder, as BuildKit would.
@NodeLoop
final class KitFileReader: HTTP2StreamOwner {
    /// Of one file, in bytes.
    private static let limit = 1 << 20
    /// Bits of a mode, as Go has them, that tell folders, links and the like from files.
    private static let special: UInt64 = 0x8f28_0000

    private let client: HTTP2Peer
    private let id: UInt32
    private let wanted: Set<String>
    private var answer: CheckedContinuation<[KitFile], any Error>?
    private var reader = GRPCReader(limit: KitFileService.packetLimit)
    private var entries: UInt64 = 0
    private var files: [UInt64: KitFile] = [:]
    private var open: Set<UInt64> = []
    private var knowsAll = false

    private init(
        _ client: HTTP2Peer, _ id: UInt32, _ wanted: [String], _ answer: CheckedContinuation<[KitFile], any Error>
    ) {
        self.client = client
        self.id = id
        self.wanted = Set(wanted)
        self.answer = answer
    }

    /// The plain files among those asked for that the client's folder has.
    /// - Throws: what the client said, or where it went; a file that is too long.
    static func read(_ names: [String], from client: HTTP2Peer) async throws -> [KitFile] {
        try await withCheckedThrowingContinuation { answer in
            let metadata =
                [HeaderField("dir-name", KitFileService.folder)] + names.map { HeaderField("followpaths", $0) }
            client.open(GRPC.request(KitFileService.path, metadata)) { id in
                KitFileReader(client, id, names, answer)
            }
        }
    }

    func received(_ fields: [HeaderField], ends: Bool) {
        guard let status = fields.first("grpc-status") else { return }
        if status == "0", knowsAll, open.isEmpty { return end(nil) }
        end(
            FrontDoorError(
                .unreachable, "the client does not give its files: \(fields.first("grpc-message") ?? status)"))
    }

    func received(_ data: ByteBuffer, ends: Bool) {
        client.consumed(data.readableBytes, on: id)
        reader.add(data)
        do {
            while let message = try reader.next() { try take(try ProtoMessage(message)) }
        } catch {
            fail("the client's files come as nothing that is known: \(error)")
        }
    }

    private func take(_ packet: ProtoMessage) throws {
        switch packet.number(1) {
        case Packet.stat: try takeEntry(packet.bytes(2))
        case Packet.data:
            let number = packet.number(3)
            guard open.contains(number) else { return fail("the client gives what it was not asked for") }
            guard let piece = packet.bytes(4), piece.readableBytes > 0 else {
                open.remove(number)
                return finishIfDone()
            }
            files[number]?.bytes.writeImmutableBuffer(piece)
            if files[number]?.bytes.readableBytes ?? 0 > Self.limit {
                fail("its Dockerfile is over \(Self.limit) bytes")
            }
        case Packet.finish: end(nil)
        default: fail("the client does not give its files: \(packet.text(4))")
        }
    }

    private func takeEntry(_ entry: ByteBuffer?) throws {
        guard let entry else {
            knowsAll = true
            return finishIfDone()
        }
        let stat = try ProtoMessage(entry)
        let number = entries
        entries += 1
        guard wanted.contains(stat.text(1)), stat.number(2) & Self.special == 0 else { return }
        files[number] = KitFile(path: stat.text(1), bytes: ByteBuffer(), changed: stat.number(6))
        open.insert(number)
        client.send(Packet.make(Packet.request, id: number), on: id)
    }

    private func finishIfDone() {
        if knowsAll, open.isEmpty { client.send(Packet.make(Packet.finish), on: id, ends: true) }
    }

    func reset(_ code: UInt32) { end(FrontDoorError(.unreachable, "the client's session ended")) }

    func closed() { end(FrontDoorError(.unreachable, "the client's session ended")) }

    private func fail(_ reason: String) {
        client.reset(id)
        end(FrontDoorError(.unreachable, reason))
    }

    private func end(_ error: (any Error)?) {
        guard let answer else { return }
        self.answer = nil
        if let error { answer.resume(throwing: error) } else { answer.resume(returning: files.values.map(\.self)) }
    }
}

/// Gives an engine files in place of those that its client has.
@NodeLoop
final class KitFileServer: HTTP2StreamOwner {
    private static let pieceSize = 32 << 10

    private let engine: HTTP2Peer
    private let id: UInt32
    private let files: [KitFile]
    private var reader = GRPCReader(limit: KitFileService.packetLimit)

    init(_ engine: HTTP2Peer, _ id: UInt32, _ files: [KitFile]) {
        self.engine = engine
        self.id = id
        self.files = files.sorted { $0.path < $1.path }
    }

    func begin() {
        engine.send(GRPC.head, on: id, ends: false)
        for file in files {
            var stat = ProtoMessage()
            stat.add(1, file.path)
            stat.add(2, UInt64(0o644))
            stat.add(5, UInt64(file.bytes.readableBytes))
            stat.add(6, file.changed)
            engine.send(Packet.make(Packet.stat, stat: stat), on: id)
        }
        engine.send(Packet.make(Packet.stat), on: id)
    }

    func received(_ fields: [HeaderField], ends: Bool) {}

    func received(_ data: ByteBuffer, ends: Bool) {
        engine.consumed(data.readableBytes, on: id)
        reader.add(data)
        do {
            while let message = try reader.next() { try take(try ProtoMessage(message)) }
        } catch {
            engine.reset(id)
        }
    }

    private func take(_ packet: ProtoMessage) throws {
        switch packet.number(1) {
        case Packet.request:
            let number = packet.number(3)
            guard number < UInt64(files.count) else { return engine.reset(id) }
            var rest = files[Int(number)].bytes
            while let piece = rest.readSlice(length: min(Self.pieceSize, rest.readableBytes)), piece.readableBytes > 0 {
                engine.send(Packet.make(Packet.data, id: number, data: piece), on: id)
            }
            engine.send(Packet.make(Packet.data, id: number), on: id)
        case Packet.finish:
            engine.send(Packet.make(Packet.finish), on: id)
            engine.send(GRPC.success, on: id, ends: true)
        default: engine.reset(id)
        }
    }

    func reset(_ code: UInt32) {}
}
