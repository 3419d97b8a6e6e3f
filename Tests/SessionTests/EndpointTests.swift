import NIOCore
import Testing

@testable import Session

struct EndpointTests {
    @Test(
        "Hosts and ports are told apart",
        arguments: [
            ("127.0.0.1:7700", "127.0.0.1", 7700), ("gateway.example:1", "gateway.example", 1),
            ("[2001:db8::1]:65535", "2001:db8::1", 65_535), ("[::1]:0", "::1", 0),
        ])
    func good(text: String, host: String, port: Int) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.host == host)
        #expect(endpoint.port == port)
        #expect(endpoint.description == text)
    }

    @Test(
        "What is no HOST:PORT is refused with the text",
        arguments: ["", "host", "host:", ":7700", "host:x", "host:65536", "host:-1", "2001:db8::1:80", "[]:80"])
    func bad(text: String) {
        let error = #expect(throws: SessionError.self) { _ = try Endpoint(text) }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("'\(text)'") == true)
    }

    @Test("Literal addresses and the loopback's name resolve; a name that does not exist says so")
    func resolving() async throws {
        #expect(try await Endpoint("127.0.0.1:80").resolve().map(\.port) == [80])
        #expect(try await Endpoint("[::1]:81").resolve().map(\.ipAddress) == ["::1"])
        #expect(try await !Endpoint("localhost:82").resolve().isEmpty)
        let error = await #expect(throws: SessionError.self) {
            _ = try await Endpoint("no-such-host.invalid:80").resolve()
        }
        #expect(error?.code == .unavailable)
    }
}
