package import NIOCore

/// Takes one head from the front of a growing buffer; what follows the head stays in the buffer.
///
/// Feed it the same buffer each time, with more bytes appended: bytes that were looked at are not looked at again.
package struct HeadParser<Head: HTTPHead>: Sendable {
    package static var defaultLimit: Int { 64 * 1024 }

    private let limit: Int
    private var scanned = 0
    private var lineStart = 0

    /// - Parameter limit: The greatest length of a head, in bytes.
    package init(limit: Int = defaultLimit) { self.limit = limit }

    /// The head, or nil when more bytes are needed.
    ///
    /// - Throws: `HTTPError` as soon as the bytes cannot become a head; the parser and the connection are of no more use.
    package mutating func parse(_ buffer: inout ByteBuffer) throws(HTTPError) -> Head? {
        let end: Int?
        do throws(HTTPError) {
            end = try scan(buffer)
        } catch {
            throw Head.refusal(error)
        }
        guard let end, let slice = buffer.readSlice(length: end) else { return nil }
        // A copy: a head may be kept for as long as its stream, and a slice would keep what it was received in.
        let raw = ByteBuffer(bytes: slice.readableBytesView)
        scanned = 0
        lineStart = 0
        do throws(HTTPError) {
            return try Head(raw: raw)
        } catch {
            throw Head.refusal(error)
        }
    }

    /// The length of the head once its blank line is there.
    private mutating func scan(_ buffer: ByteBuffer) throws(HTTPError) -> Int? {
        let view = buffer.readableBytesView
        let base = view.startIndex
        let count = min(view.count, limit)
        while scanned < count {
            guard let line = view[(base + scanned)..<(base + count)].firstIndex(of: ASCII.lf) else {
                scanned = count
                break
            }
            let feed = line - base
            guard feed > lineStart, view[line - 1] == ASCII.cr else {
                throw .bad("a line of the head does not end in CRLF")
            }
            scanned = feed + 1
            if feed == lineStart + 1 {
                guard lineStart > 0 else { throw .bad("an empty line before the head") }
                return feed + 1
            }
            lineStart = feed + 1
        }
        guard view.count < limit else {
            throw HTTPError(status: 431, message: "the head is longer than \(limit) bytes")
        }
        return nil
    }
}
