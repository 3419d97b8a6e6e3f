/// `HOST:PORT`; an IPv6 host stands in brackets.
struct HostPort: Equatable, CustomStringConvertible {
    let host: String
    let port: Int

    /// Nil when `text` is anything else.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        guard !host.isEmpty, isBracketed || !host.contains(where: { $0 == ":" || $0 == "[" || $0.isWhitespace }) else {
            return nil
        }
        self.host = String(host)
        self.port = Int(port)
    }

    var description: String { "\(host):\(port)" }

    /// What to dial when this is what a server on the same machine listens on.
    var reachable: HostPort { HostPort(host: ["0.0.0.0", "[::]"].contains(host) ? "127.0.0.1" : host, port: port) }

    private init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}
