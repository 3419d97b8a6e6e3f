package import SwiftProtobuf

/// Takes bytes as they come and gives whole messages.
///
/// Feed, then call `next` until it answers nil. Holds at most the unread bytes that it was fed; an error is final, since the
/// place where the next message begins is lost.
package struct DelimitedDecoder: Sendable {
    private var bytes: [UInt8] = []
    private var start = 0
    private let limit: Int
    private var failure: WireError?

    /// - Parameter limit: The longest message that is taken, in bytes.
    package init(limit: Int = Framing.defaultLimit) { self.limit = limit }

    package mutating func feed(_ more: some Collection<UInt8>) {
        // Moving only when most is read keeps the copying linear in what comes in.
        if start > 0, start >= bytes.count / 2 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Bytes that no message has taken: after a stream's first message, what follows it verbatim.
    package var unread: [UInt8] { Array(bytes[start...]) }

    /// The next whole message; nil when more bytes are needed.
    /// - Throws: `WireError.oversize` as soon as a length says so, `.malformed` for bytes that are no `M`. Again on each later call.
    package mutating func next<M: Message>(_: M.Type = M.self) throws(WireError) -> M? {
        if let failure { throw failure }
        do throws(WireError) {
            guard let header = try header() else { return nil }
            let end = header.bodyStart + header.length
            guard end <= bytes.count else { return nil }
            let message = try Self.message(M.self, bytes[header.bodyStart..<end])
            start = end
            return message
        } catch {
            failure = error
            throw error
        }
    }

    /// The length before the next message, and where that message begins; nil when the length is not whole yet.
    private func header() throws(WireError) -> (length: Int, bodyStart: Int)? {
        var length: UInt64 = 0
        var index = start
        // Five bytes hold 35 bits, more than any limit; a sixth is not a length.
        for shift in stride(from: UInt64(0), to: 35, by: 7) {
            guard index < bytes.count else { return nil }
            let byte = bytes[index]
            index += 1
            length |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                guard length <= UInt64(limit) else {
                    throw WireError(.oversize, "a message of \(length) bytes is over the limit of \(limit)")
                }
                return (Int(length), index)
            }
        }
        throw WireError(.malformed, "the length before a message is not a length: the peer speaks another protocol")
    }

    private static func message<M: Message>(_: M.Type, _ body: ArraySlice<UInt8>) throws(WireError) -> M {
        do {
            return try M(serializedBytes: Array(body))
        } catch {
            throw WireError(.malformed, "\(body.count) bytes are not a \(M.protoMessageName)", cause: error)
        }
    }
}
