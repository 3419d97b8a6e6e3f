import Testing
import Trust

@Suite struct NodeKeyTests {
    @Test("a proof holds for its own key and its own bytes, and for no other")
    func proof() throws {
        let key = NodeKey()
        let other = NodeKey()
        let message = Array("token\nedge1\n".utf8) + key.publicKeyDER
        let proof = try key.sign(message)
        #expect(NodeKey.isValid(proof: proof, over: message, publicKeyDER: key.publicKeyDER))
        #expect(!NodeKey.isValid(proof: proof, over: message + [0], publicKeyDER: key.publicKeyDER))
        #expect(!NodeKey.isValid(proof: proof, over: message, publicKeyDER: other.publicKeyDER))
        #expect(!NodeKey.isValid(proof: [], over: message, publicKeyDER: key.publicKeyDER))
        #expect(!NodeKey.isValid(proof: proof, over: message, publicKeyDER: [1, 2, 3]))
    }

    @Test("a key survives being written as PEM")
    func pem() throws {
        let key = NodeKey()
        #expect(try NodeKey(pem: key.pemRepresentation).publicKeyDER == key.publicKeyDER)
    }

    @Test("an error about a bad key does not show it")
    func secretStaysSecret() {
        #expect {
            try NodeKey(pem: "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----")
        } throws: {
            ($0 as? TrustError)?.code == .malformedKey && !"\($0)".contains("c2VjcmV0")
        }
    }

    @Test("a key cannot be printed by accident")
    func description() {
        let key = NodeKey()
        var dumped = "\(key) \(String(reflecting: key))"
        dump(key, to: &dumped)
        let secret = key.pemRepresentation.split(separator: "\n")[1]
        #expect(!dumped.contains(secret))
        #expect(!dumped.contains("P256"))
    }
}
