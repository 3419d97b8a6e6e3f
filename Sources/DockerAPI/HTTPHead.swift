package import NIOCore

/// A request's or a response's head: parsed fields beside the verbatim bytes.
package protocol HTTPHead: Sendable {
    var headers: HTTPHeaders { get }
    /// The head as it came, blank line included; what is spliced on.
    var raw: ByteBuffer { get }

    /// - Parameter raw: A whole head: lines that all end in CRLF, the last one empty.
    init(raw: ByteBuffer) throws(HTTPError)

    /// The same refusal as it has to be answered when it concerns this kind of head.
    static func refusal(_ error: HTTPError) -> HTTPError
}

/// The lines of a whole head, as slices of its bytes.
struct HeadLines {
    /// More fields than any client sends; a bound on the work that a head of many tiny fields makes.
    static let maximumFields = 256

    let start: ArraySlice<UInt8>
    let headers: HTTPHeaders

    init(_ raw: ByteBuffer) throws(HTTPError) {
        let bytes = [UInt8](raw.readableBytesView)
        var lines: [ArraySlice<UInt8>] = []
        var from = 0
        while from < bytes.count {
            guard let end = bytes[from...].firstIndex(of: ASCII.lf), end > from, bytes[end - 1] == ASCII.cr else {
                throw .bad("a line of the head does not end in CRLF")
            }
            lines.append(bytes[from..<(end - 1)])
            from = end + 1
        }
        guard lines.count >= 2, lines.last?.isEmpty == true, let first = lines.first, !first.isEmpty else {
            throw .bad("the head is not complete")
        }
        guard lines.count - 2 <= Self.maximumFields else {
            throw HTTPError(status: 431, message: "the head has more than \(Self.maximumFields) fields")
        }
        var headers = HTTPHeaders()
        for line in lines[1..<(lines.count - 1)] {
            let (name, value) = try Self.field(line)
            headers.append(name, value)
        }
        self.start = first
        self.headers = headers
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(HTTPError) -> (String, String) {
        guard let first = line.first else { throw .bad("an empty line within the head") }
        guard first != ASCII.space, first != ASCII.tab else { throw .bad("a folded header line") }
        guard let colon = line.firstIndex(of: ASCII.colon) else { throw .bad("a header line without a colon") }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(ASCII.isToken) else { throw .bad("a header name that is not a token") }
        let value = line[(colon + 1)...]
        guard value.allSatisfy(ASCII.isFieldValue) else { throw .bad("a control character in a header value") }
        return (String(decoding: name, as: UTF8.self), String(decoding: ASCII.trimming(value), as: UTF8.self))
    }
}

/// What the fields of a head say of the length of its body.
enum DeclaredLength {
    case nothing, length(Int), chunked

    init(_ headers: HTTPHeaders, minor: Int) throws(HTTPError) {
        let lengths = headers.all("Content-Length")
        let encodings = headers.all("Transfer-Encoding")
        if !encodings.isEmpty {
            guard lengths.isEmpty else { throw .bad("both Content-Length and Transfer-Encoding") }
            guard minor >= 1 else { throw .bad("Transfer-Encoding in HTTP/1.0") }
            guard encodings.count == 1, ASCII.equalIgnoringCase(encodings[0], "chunked") else {
                throw .bad("a Transfer-Encoding that is not exactly 'chunked'")
            }
            self = .chunked
            return
        }
        guard let text = lengths.first else {
            self = .nothing
            return
        }
        guard lengths.allSatisfy({ $0 == text }) else { throw .bad("two different values of Content-Length") }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(text) else {
            throw .bad("a Content-Length that is not a number")
        }
        self = .length(length)
    }
}

extension HTTPHeaders {
    func keepsAlive(minor: Int) -> Bool {
        if contains("Connection", token: "close") { return false }
        return minor >= 1 || contains("Connection", token: "keep-alive")
    }
}
