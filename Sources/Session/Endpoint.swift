package import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// - Throws: `.invalid` naming what is wrong with `text`.
    package init(_ text: String) throws(SessionError) {
        func invalid(_ why: String) -> SessionError {
            SessionError(
                .invalid, "'\(text)' \(why); write HOST:PORT, as in gateway.example:7700 or [2001:db8::1]:7700")
        }
        guard let colon = text.lastIndex(of: ":") else { throw invalid("has no port") }
        guard let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else {
            throw invalid("has no port between 0 and 65535")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw invalid("is an IPv6 address without brackets")
        }
        guard !host.isEmpty else { throw invalid("has no host") }
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// All its addresses, in the order in which the system wants them tried; a name is looked up off the event loop.
    /// - Throws: `.unavailable` when the name does not resolve.
    package func resolve() async throws(SessionError) -> [SocketAddress] {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return [address] }
        do {
            return try await NIOThreadPool.singleton.runIfActive { try self.lookUp() }
        } catch let error as SessionError {
            throw error
        } catch {
            throw SessionError(.unavailable, "'\(host)' could not be looked up", cause: error)
        }
    }

    private func lookUp() throws(SessionError) -> [SocketAddress] {
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), nil, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard result == 0 else {
            throw SessionError(
                .unavailable, "'\(host)' could not be looked up: \(String(cString: gai_strerror(result)))")
        }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let raw = UnsafeRawPointer(entry.ai_addr) else { continue }
            let address: SocketAddress
            switch entry.ai_family {
            case AF_INET: address = SocketAddress(raw.loadUnaligned(as: sockaddr_in.self), host: host)
            case AF_INET6: address = SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self), host: host)
            default: continue
            }
            // One entry per socket type comes back.
            if !addresses.contains(address) { addresses.append(address) }
        }
        guard !addresses.isEmpty else { throw SessionError(.unavailable, "'\(host)' has no address") }
        return addresses
    }
}
