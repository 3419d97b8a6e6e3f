package import SwiftProtobuf

/// How messages follow each other in a stream: each one's length as a varint, then the message.
package enum Framing {
    /// The longest message that either end takes, in bytes.
    package static let defaultLimit = 4 << 20

    /// The message with its length before it.
    /// - Throws: `WireError.oversize` when the peer would refuse it.
    package static func encode(_ message: some Message, limit: Int = defaultLimit) throws(WireError) -> [UInt8] {
        var bytes: [UInt8] = []
        try encode(message, into: &bytes, limit: limit)
        return bytes
    }

    /// Appends the message with its length before it; `bytes` is unchanged when it throws.
    /// - Throws: `WireError.oversize` when the peer would refuse it.
    package static func encode(
        _ message: some Message, into bytes: inout [UInt8], limit: Int = defaultLimit
    ) throws(WireError) {
        let body: [UInt8]
        do {
            body = try message.serializedBytes()
        } catch {
            throw WireError(.invalid, "a message could not be encoded", cause: error)
        }
        guard body.count <= limit else {
            throw WireError(
                .oversize, "a message of \(body.count) bytes is over the limit of \(limit): send it in parts")
        }
        bytes.reserveCapacity(bytes.count + body.count + 5)
        appendVarint(UInt64(body.count), to: &bytes)
        bytes.append(contentsOf: body)
    }

    private static func appendVarint(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
