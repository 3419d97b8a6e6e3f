import Fleet
import Glibc

/// An IPv4 or IPv6 address, as its bytes.
struct Address: Sendable, Hashable, CustomStringConvertible {
    let bytes: [UInt8]

    /// - Returns: nil for what is neither `192.0.2.1` nor `2001:db8::1`.
    init?(_ text: String) {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            bytes = withUnsafeBytes(of: four) { Array($0) }
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            bytes = withUnsafeBytes(of: six) { Array($0) }
        } else {
            return nil
        }
    }

    init(bytes: [UInt8]) { self.bytes = bytes }

    var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        _ = inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// `172.28.0.0/16`.
struct AddressPrefix: Sendable, Hashable {
    let address: Address
    let length: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = Address(String(parts[0])), let length = Int(parts[1]),
            (1...address.bytes.count * 8).contains(length)
        else { return nil }
        self.address = address
        self.length = length
    }

    func contains(_ other: Address) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let whole = length / 8
        guard address.bytes[..<whole] == other.bytes[..<whole] else { return false }
        let rest = length % 8
        guard rest > 0 else { return true }
        let mask = UInt8(truncatingIfNeeded: 0xff00 >> rest)
        return address.bytes[whole] & mask == other.bytes[whole] & mask
    }

    /// Within RFC 1918's and RFC 4193's ranges, or what carriers keep to themselves (RFC 6598).
    var isPrivate: Bool {
        Self.privateRanges.contains { $0.length <= length && $0.contains(address) }
    }

    private static let privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
        .compactMap(AddressPrefix.init)
}

/// The addresses of this machine's network interfaces.
enum InterfaceAddresses {
    static var all: [Address] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        return sequence(first: list) { $0?.pointee.ifa_next }.compactMap { entry in
            guard let address = entry?.pointee.ifa_addr else { return nil }
            switch Int32(address.pointee.sa_family) {
            case AF_INET:
                return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    withUnsafeBytes(of: $0.pointee.sin_addr) { Address(bytes: Array($0)) }
                }
            case AF_INET6:
                return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    withUnsafeBytes(of: $0.pointee.sin6_addr) { Address(bytes: Array($0)) }
                }
            default: return nil
            }
        }
    }
}
