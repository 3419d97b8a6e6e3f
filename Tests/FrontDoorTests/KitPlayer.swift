import BuildKit
import NIOCore

/// One end of an HTTP/2 connection, as a test plays it.
actor KitPlayer {
    private let peer: Peer
    private var connection: HTTP2Connection
    private var events: [HTTP2Connection.Event] = []

    init(_ peer: Peer, _ role: HTTP2Connection.Role) {
        self.peer = peer
        connection = HTTP2Connection(role)
    }

    /// - Throws: when the other side has ended the connection.
    func next() async throws -> HTTP2Connection.Event {
        try await flush()
        while events.isEmpty {
            let bytes = try await peer.receive { $0.readableBytes > 0 ? $0.readSlice(length: $0.readableBytes) : nil }
            events = try connection.receive(bytes)
            for case .data(let id, let data, _) in events { connection.consumed(data.readableBytes, on: id) }
            try await flush()
        }
        return events.removeFirst()
    }

    func open(_ path: String, _ metadata: [HeaderField] = [], _ message: ProtoMessage? = nil) async throws -> UInt32 {
        let id = connection.open(GRPC.request(path, metadata), ends: false)
        if let message { connection.send(GRPC.frame(message.buffer), on: id, ends: true) }
        try await flush()
        return id
    }

    func send(_ message: ProtoMessage, on id: UInt32) async throws {
        connection.send(GRPC.frame(message.buffer), on: id, ends: false)
        try await flush()
    }

    func send(_ fields: [HeaderField], on id: UInt32, ends: Bool = false) async throws {
        connection.send(fields, on: id, ends: ends)
        try await flush()
    }

    func flush() async throws {
        while connection.hasOutput { try await peer.send(connection.drain().bytes) }
    }

    /// What comes on a stream until its end: messages, and the last of its heads.
    func answer(on id: UInt32) async throws -> (messages: [ProtoMessage], trailers: [HeaderField]) {
        var reader = GRPCReader(limit: 1 << 20)
        var messages: [ProtoMessage] = []
        while true {
            switch try await next() {
            case .data(id, let data, _):
                reader.add(data)
                while let message = try reader.next() { messages.append(try ProtoMessage(message)) }
            case .head(id, let fields, true): return (messages, fields)
            case .reset(id, let code): return (messages, [HeaderField("reset", "\(code)")])
            default: break
            }
        }
    }

    /// Serves one file as a client's session does, and tells which folders were asked for, until the connection ends.
    /// - Parameter others: further files in the folder.
    func serve(_ name: String, _ text: String, beside others: [String] = [], _ asked: @Sendable (String) -> Void) async
    {
        var readers: [UInt32: GRPCReader] = [:]
        while let event = try? await next() {
            do {
                switch event {
                case .head(let id, let fields, false):
                    asked(fields.first("dir-name") ?? fields.first(":path") ?? "")
                    readers[id] = GRPCReader(limit: 1 << 20)
                    try await send(GRPC.head, on: id)
                    try await send(stat("folder", 0o755 | 1 << 31), on: id)
                    for other in others { try await send(stat(other, 0o644), on: id) }
                    try await send(stat(name, 0o644), on: id)
                    try await send(ProtoMessage(), on: id)
                case .data(let id, let data, _):
                    readers[id]?.add(data)
                    while let message = try readers[id]?.next() {
                        try await reply(ProtoMessage(message), text, on: id)
                    }
                default: break
                }
            } catch { return }
        }
    }

    private func stat(_ name: String, _ mode: UInt64) -> ProtoMessage {
        var stat = ProtoMessage()
        stat.add(1, name)
        stat.add(2, mode)
        var packet = ProtoMessage()
        packet.add(2, stat)
        return packet
    }

    private func reply(_ packet: ProtoMessage, _ text: String, on id: UInt32) async throws {
        var answer = ProtoMessage()
        guard packet.number(1) == 1 else {
            answer.add(1, 3)
            try await send(answer, on: id)
            return try await send(GRPC.success, on: id, ends: true)
        }
        answer.add(1, 2)
        if packet.number(3) != 0 { answer.add(3, packet.number(3)) }
        var piece = answer
        piece.add(4, text)
        try await send(piece, on: id)
        try await send(answer, on: id)
    }

    /// Reads a file as an engine does.
    func read(folder: String) async throws -> (name: String, text: String) {
        let id = try await open("/moby.filesync.v1.FileSync/DiffCopy", [HeaderField("dir-name", folder)])
        var reader = GRPCReader(limit: 1 << 20)
        var (name, text) = ("", "")
        while true {
            switch try await next() {
            case .data(id, let data, _):
                reader.add(data)
                while let message = try reader.next() {
                    let packet = try ProtoMessage(message)
                    switch packet.number(1) {
                    case 0:
                        if let stat = packet.bytes(2) {
                            name = try ProtoMessage(stat).text(1)
                        } else {
                            var request = ProtoMessage()
                            request.add(1, 1)
                            request.add(3, name == "folder" ? 0 : name == "Dockerfile" ? 0 : 1)
                            try await send(request, on: id)
                        }
                    case 2 where packet.text(4).isEmpty:
                        var end = ProtoMessage()
                        end.add(1, 3)
                        try await send(end, on: id)
                    case 2: text += packet.text(4)
                    default: break
                    }
                }
            case .head(id, _, true): return (name, text)
            case .reset(id, _): throw CancellationError()
            default: break
            }
        }
    }
}
