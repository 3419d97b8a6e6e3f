/// One member's client address.
package struct EtcdEndpoint: Sendable, Hashable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Where an etcd cluster is and what of it is ours: `etcd://HOST[:PORT][,HOST[:PORT]…][/PREFIX]`; `etcds` is with TLS.
package struct EtcdLocation: Sendable, Hashable, CustomStringConvertible {
    private static let usualPort = 2379

    package let endpoints: [EtcdEndpoint]
    package let isSecure: Bool
    /// What every key begins with; starts with a slash and ends without.
    package let prefix: String

    /// - Throws: `.configuration` naming what is wrong with `text`.
    package init(_ text: String) throws(EtcdError) {
        func wrong(_ why: String) -> EtcdError {
            EtcdError(
                .configuration, "'\(text)' \(why); write etcd://HOST:PORT[,HOST:PORT…][/PREFIX], or etcds:// for TLS")
        }
        let rest: Substring
        if text.hasPrefix("etcds://") {
            (isSecure, rest) = (true, text.dropFirst(8))
        } else if text.hasPrefix("etcd://") {
            (isSecure, rest) = (false, text.dropFirst(7))
        } else {
            throw wrong("is no address of an etcd")
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var path = rest[slash...]
        while path.last == "/" { path.removeLast() }
        prefix = path.isEmpty ? "/lighter" : String(path)
        var endpoints: [EtcdEndpoint] = []
        for part in rest[..<slash].split(separator: ",", omittingEmptySubsequences: false) {
            guard let endpoint = Self.endpoint(part) else { throw wrong("has no host and port in '\(part)'") }
            endpoints.append(endpoint)
        }
        self.endpoints = endpoints
    }

    private static func endpoint(_ text: Substring) -> EtcdEndpoint? {
        var (host, port) = (text, usualPort)
        let afterBrackets = text.lastIndex(of: "]").map { text.index(after: $0) } ?? text.startIndex
        if let colon = text[afterBrackets...].lastIndex(of: ":") {
            guard let number = Int(text[text.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            (host, port) = (text[..<colon], number)
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains("@") else { return nil }
        return EtcdEndpoint(host: String(host), port: port)
    }

    package var description: String {
        "\(isSecure ? "etcds" : "etcd")://\(endpoints.map(\.description).joined(separator: ","))\(prefix)"
    }
}
