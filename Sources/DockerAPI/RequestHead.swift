package import NIOCore

/// The head of a request, checked so that no two parsers can disagree on what it means.
package struct RequestHead: HTTPHead, Hashable {
    package let method: String
    /// Origin form: begins with `/`, printable ASCII, valid percent escapes.
    package let target: String
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    package let minor: Int
    package let headers: HTTPHeaders
    package let raw: ByteBuffer
    package let framing: BodyFraming

    /// - Parameter given: A whole head. A target in absolute form becomes one in origin form here, in `raw` too.
    package init(raw given: ByteBuffer) throws(HTTPError) {
        let raw = Self.inOriginForm(given)
        let lines = try HeadLines(raw)
        (method, target, minor) = try Self.requestLine(lines.start)
        headers = lines.headers
        self.raw = raw
        framing =
            switch try DeclaredLength(headers, minor: minor) {
            case .nothing, .length(0): .none
            case .length(let length): .length(length)
            case .chunked: .chunked
            }
        let hosts = headers.all("Host").count
        guard hosts <= 1 else { throw .bad("more than one Host header") }
        guard hosts == 1 || minor == 0 else { throw .bad("no Host header") }
        if minor == 1, let expect = headers.first("Expect"), !ASCII.equalIgnoringCase(expect, "100-continue") {
            throw HTTPError(status: 417, message: "an Expect header other than 100-continue")
        }
    }

    /// `GET http://docker/info`, as a client asks a proxy, is `GET /info` to whoever answers it.
    private static func inOriginForm(_ raw: ByteBuffer) -> ByteBuffer {
        let view = raw.readableBytesView
        guard let space = view.firstIndex(of: ASCII.space) else { return raw }
        let target = view[(space + 1)...].prefix { $0 != ASCII.space && $0 != ASCII.cr }
        let scheme = "http://".utf8
        guard target.count > scheme.count, ASCII.equalIgnoringCase(target.prefix(scheme.count), scheme) else {
            return raw
        }
        let authority = target.dropFirst(scheme.count).prefix(while: isOfAuthority)
        let rest = view[authority.endIndex...]
        guard !authority.isEmpty, let next = rest.first, "/? ".utf8.contains(next) else { return raw }
        var plain = ByteBuffer(view[...space])
        if next != UInt8(ascii: "/") { plain.writeString("/") }
        plain.writeBytes(rest)
        return plain
    }

    private static func isOfAuthority(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            || "-._~:[]".utf8.contains(byte)
    }

    package static func refusal(_ error: HTTPError) -> HTTPError { error }

    private static func requestLine(_ line: ArraySlice<UInt8>) throws(HTTPError) -> (String, String, Int) {
        let words = line.split(separator: ASCII.space, omittingEmptySubsequences: false)
        guard words.count == 3 else { throw .bad("a request line that is not 'METHOD TARGET VERSION'") }
        guard !words[0].isEmpty, words[0].count <= 32, words[0].allSatisfy(ASCII.isToken) else {
            throw .bad("a method that is not a token")
        }
        let minor = try version(words[2])
        try check(target: words[1])
        return (String(decoding: words[0], as: UTF8.self), String(decoding: words[1], as: UTF8.self), minor)
    }

    static func version(_ word: ArraySlice<UInt8>) throws(HTTPError) -> Int {
        if word.elementsEqual("HTTP/1.1".utf8) { return 1 }
        if word.elementsEqual("HTTP/1.0".utf8) { return 0 }
        guard word.starts(with: "HTTP/".utf8), word.dropFirst(5).allSatisfy({ (0x2e...0x39).contains($0) }) else {
            throw .bad("a protocol that is not HTTP")
        }
        throw HTTPError(status: 505, message: "a version of HTTP that is neither 1.0 nor 1.1")
    }

    private static func check(target: ArraySlice<UInt8>) throws(HTTPError) {
        guard target.first == UInt8(ascii: "/") else { throw .bad("a target that does not begin with '/'") }
        var index = target.startIndex
        var inPath = true
        while index < target.endIndex {
            let byte = target[index]
            guard byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "#") else {
                throw .bad("a character in the target that must be escaped")
            }
            if byte == UInt8(ascii: "?") { inPath = false }
            if byte == UInt8(ascii: "%"), inPath {
                guard index + 2 < target.endIndex, ASCII.hexDigit(target[index + 1]) != nil,
                    ASCII.hexDigit(target[index + 2]) != nil
                else { throw .bad("a '%' in the target that is no escape") }
            }
            index += 1
        }
    }
}

extension RequestHead {
    /// The target without the query, as it came.
    package var path: String {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return target }
        return String(target[..<mark])
    }

    /// What follows the first `?`, as it came.
    package var query: String? {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return String(target[target.utf8.index(after: mark)...])
    }

    /// `1.41` when the path begins with `/v1.41/`.
    package var apiVersion: String? { DockerPath.split(path: path).apiVersion }

    /// The path without the version: `/containers/json`.
    package var routePath: String { DockerPath.split(path: path).rest }

    /// The Upgrade header in lower case, when Connection asks for it: `tcp`, `h2c`.
    package var upgrade: String? {
        guard headers.contains("Connection", token: "upgrade") else { return nil }
        return headers.first("Upgrade").map(ASCII.lowercased)
    }

    package var expectsContinue: Bool { minor >= 1 && headers.contains("Expect") }

    /// Whether the client may send another request after this one.
    package var keepAlive: Bool { headers.keepsAlive(minor: minor) }
}
