import NIOCore

/// New heads made from old ones; every byte that an edit does not concern stays as it came.
///
/// The result is checked like any other head, so that no value can smuggle a line into it.
extension RequestHead {
    /// The same request for another target.
    package func withTarget(_ target: String) throws(HTTPError) -> RequestHead {
        try HeadEdit.check(line: target)
        var raw = ByteBuffer()
        raw.writeString("\(method) \(target) HTTP/1.\(minor)\r\n")
        raw.writeImmutableBuffer(HeadEdit.fields(of: self.raw))
        return try RequestHead(raw: raw)
    }

    /// Makes a request's head; the caller gives every field, Host included.
    package static func make(
        _ method: String, _ target: String, _ headers: [(String, String)]
    ) throws(HTTPError) -> RequestHead {
        try RequestHead(raw: HeadEdit.compose("\(method) \(target) HTTP/1.1", headers))
    }
}

extension ResponseHead {
    package static func make(
        _ status: Int, _ reason: String, _ headers: [(String, String)]
    ) throws(HTTPError) -> ResponseHead {
        try ResponseHead(raw: HeadEdit.compose("HTTP/1.1 \(status) \(reason)", headers))
    }
}

extension HTTPHead {
    /// With exactly one field of this name, at the end of the head.
    package func withHeader(_ name: String, _ value: String) throws(HTTPError) -> Self {
        try HeadEdit.check(line: name + value)
        var raw = HeadEdit.removing(name, from: self.raw)
        raw.moveWriterIndex(to: raw.writerIndex - 2)
        raw.writeString("\(name): \(value)\r\n\r\n")
        return try Self(raw: raw)
    }

    /// Without any field of this name.
    package func removing(_ name: String) throws(HTTPError) -> Self {
        try Self(raw: HeadEdit.removing(name, from: raw))
    }
}

private enum HeadEdit {
    /// What goes into a line must not end it.
    static func check(line: String) throws(HTTPError) {
        guard line.utf8.allSatisfy(ASCII.isFieldValue) else { throw .bad("a control character in an edited head") }
    }

    static func compose(_ start: String, _ headers: [(String, String)]) throws(HTTPError) -> ByteBuffer {
        var raw = ByteBuffer()
        try check(line: start)
        raw.writeString(start + "\r\n")
        for (name, value) in headers {
            try check(line: name + value)
            raw.writeString("\(name): \(value)\r\n")
        }
        raw.writeString("\r\n")
        return raw
    }

    /// Everything after the start line.
    static func fields(of raw: ByteBuffer) -> ByteBuffer {
        let view = raw.readableBytesView
        guard let feed = view.firstIndex(of: ASCII.lf) else { return ByteBuffer() }
        return ByteBuffer(view[(feed + 1)...])
    }

    /// A copy of a whole head without the lines of the fields called `name`.
    static func removing(_ name: String, from raw: ByteBuffer) -> ByteBuffer {
        var result = ByteBuffer()
        result.reserveCapacity(raw.readableBytes + 64)
        var rest = raw.readableBytesView
        var isStart = true
        while let feed = rest.firstIndex(of: ASCII.lf) {
            let line = rest[rest.startIndex...feed]
            rest = rest[(feed + 1)...]
            let colon = line.firstIndex(of: ASCII.colon)
            let matches = colon.map { ASCII.equalIgnoringCase(line[..<$0], name.utf8) } ?? false
            if isStart || !matches { result.writeBytes(line) }
            isStart = false
        }
        return result
    }
}
