import Etcd
import Testing

@Suite struct EtcdLocationTests {
    @Test("a location is read as it is written")
    func reads() throws {
        let plain = try EtcdLocation("etcd://a:1,b,[::1]:3,[::2]")
        #expect(plain.endpoints.map(\.description) == ["a:1", "b:2379", "[::1]:3", "[::2]:2379"])
        #expect(!plain.isSecure)
        #expect(plain.prefix == "/lighter")
        let secure = try EtcdLocation("etcds://etcd.example:2379/fleets/home/")
        #expect(secure.isSecure)
        #expect(secure.prefix == "/fleets/home")
        #expect("\(secure)" == "etcds://etcd.example:2379/fleets/home")
    }

    @Test(
        "what is no location is refused with what it should be",
        arguments: [
            "", "a:1", "http://a:1", "etcd://", "etcd:///x", "etcd://a:x", "etcd://a:0", "etcd://a:65536",
            "etcd://a,,b", "etcd://::1", "etcd://user:pw@a:1",
        ])
    func refuses(_ text: String) {
        #expect { try EtcdLocation(text) } throws: {
            ($0 as? EtcdError)?.code == .configuration && "\($0)".contains("etcd://HOST:PORT")
        }
    }
}
