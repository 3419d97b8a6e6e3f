internal import BuildKit
internal import NIOCore

/// What bases are called in a build's messages: by their author, and at the node that builds.
struct KitNames: Sendable {
    private let pairs: [(name: String, there: String)]

    init(_ pairs: [(String, String)]) {
        self.pairs = pairs.map { (name: $0.0, there: $0.1) }.sorted { $0.name < $1.name }
    }

    func shown(in text: String) -> String {
        pairs.reduce(text) { $0.replacing($1.there, with: $1.name) }
    }

    /// BuildKit's `StatusResponse`, with the names of steps and their errors as the author knows them.
    func shown(in status: ByteBuffer) -> ByteBuffer {
        guard !pairs.isEmpty, var message = try? ProtoMessage(status) else { return status }
        for (index, field) in message.fields.enumerated() {
            // Of a step the name and the error, of what is done within it the names.
            guard case .bytes(let bytes) = field.value, let texts = [1: [3, 7], 2: [1, 3]][field.number],
                var part = try? ProtoMessage(bytes)
            else { continue }
            for (number, inner) in part.fields.enumerated() where texts.contains(inner.number) {
                guard case .bytes(let text) = inner.value else { continue }
                part.fields[number].value = .bytes(ByteBuffer(string: shown(in: String(buffer: text))))
            }
            message.fields[index].value = .bytes(part.buffer)
        }
        return message.buffer
    }
}
