import Testing

@testable import lighter

@Suite("HOST:PORT")
struct HostPortTests {
    @Test(
        "Names, addresses and bracketed IPv6 addresses are read",
        arguments: [
            ("gateway.example:7700", "gateway.example", 7700), ("10.0.0.1:1", "10.0.0.1", 1),
            ("[::1]:65535", "[::1]", 65535),
        ])
    func reads(_ text: String, _ host: String, _ port: Int) throws {
        let found = try #require(HostPort(text))
        #expect(found.host == host)
        #expect(found.port == port)
        #expect(found.description == text)
    }

    @Test(
        "Anything else is nil",
        arguments: [
            "", ":", "host", "host:", ":7700", "host:0", "host:65536", "host:-1", "host:+1x", "::1:7700", "[::1]",
            "[]:1", "a b:1",
        ])
    func refuses(_ text: String) {
        #expect(HostPort(text) == nil)
    }

    @Test(
        "What listens on every address is dialled on loopback",
        arguments: [
            ("0.0.0.0:7700", "127.0.0.1:7700"), ("[::]:7700", "127.0.0.1:7700"), ("10.0.0.1:7700", "10.0.0.1:7700"),
        ])
    func reachable(_ listen: String, _ dial: String) throws {
        #expect(try #require(HostPort(listen)).reachable.description == dial)
    }
}
