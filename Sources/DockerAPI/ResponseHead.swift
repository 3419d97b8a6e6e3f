package import NIOCore

/// The head of a response.
package struct ResponseHead: HTTPHead, Hashable {
    package let status: Int
    package let reason: String
    package let minor: Int
    package let headers: HTTPHeaders
    package let raw: ByteBuffer
    private let declared: BodyFraming?

    package init(raw: ByteBuffer) throws(HTTPError) {
        let lines = try HeadLines(raw)
        let words = lines.start.split(separator: ASCII.space, maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2 else { throw .bad("a status line without a status") }
        minor = try RequestHead.version(words[0])
        guard words[1].count == 3, words[1].allSatisfy({ (0x30...0x39).contains($0) }),
            let status = Int(String(decoding: words[1], as: UTF8.self)), status >= 100
        else { throw .bad("a status that is not three digits") }
        self.status = status
        let reason = words.count == 3 ? words[2] : []
        guard reason.allSatisfy(ASCII.isFieldValue) else { throw .bad("a control character in the status line") }
        self.reason = String(decoding: reason, as: UTF8.self)
        headers = lines.headers
        self.raw = raw
        declared =
            switch try DeclaredLength(headers, minor: minor) {
            case .nothing: nil
            case .length(0): BodyFraming.none
            case .length(let length): .length(length)
            case .chunked: .chunked
            }
    }

    package static func refusal(_ error: HTTPError) -> HTTPError {
        HTTPError(status: 502, message: "the engine's answer is malformed: \(error.message)")
    }

    /// How the bytes after this head are to be read.
    ///
    /// - Parameter method: The request's method: an answer to HEAD has no body whatever its fields say.
    package func framing(forMethod method: String) -> ResponseFraming {
        if status == 101 { return .upgraded }
        if status < 200 { return .interim }
        if method == "HEAD" || status == 204 || status == 304 { return .none }
        return switch declared {
        case nil: .untilClose
        case .some(.none): .none
        case .some(.length(let length)): .length(length)
        case .some(.chunked): .chunked
        }
    }

    /// Whether another request may be sent on the connection once this answer's body has ended.
    package var keepAlive: Bool { headers.keepsAlive(minor: minor) }
}

/// How the bytes after a response's head are framed.
package enum ResponseFraming: Sendable, Hashable {
    /// No body follows.
    case none
    case length(Int)
    case chunked
    /// A stream that ends with the connection: a hijacked attach, or an answer without a length.
    case untilClose
    /// 101: from here on the connection is a raw pipe both ways.
    case upgraded
    /// 1xx: pass it on; the real head still comes.
    case interim
}
