import Fleet
import Testing
import Trust

@Suite struct PeerIdentityTests {
    @Test(
        "an identity is read from its URI and written as the same",
        arguments: [
            "lighter://main/gateway", "lighter://main/node/edge1", "lighter://acme-2/operator/anna",
        ])
    func roundTrip(uri: String) throws {
        let identity = try PeerIdentity(uri: uri)
        #expect(identity.uri == uri)
    }

    @Test("the parts of a node's URI are its tenant and name")
    func parts() throws {
        let identity = try PeerIdentity(uri: "lighter://acme/node/edge1")
        #expect(identity.tenant == (try TenantID("acme")))
        #expect(identity.role == .node(try NodeID("edge1")))
    }

    @Test(
        "whatever is not exactly an identity is refused",
        arguments: [
            "", "lighter://", "lighter://main", "lighter:///gateway", "LIGHTER://main/gateway", "https://main/gateway",
            "lighter://main/gateway/", "lighter://main/gateway/x", "lighter://main/node", "lighter://main/node/",
            "lighter://main/node/Edge1", "lighter://main/node/a/b", "lighter://main/node/a%62",
            "lighter://main//node/a",
            "lighter://main/operator/", "lighter://main/root/a", "lighter://main/node/a?x", " lighter://main/gateway",
            "lighter://main/node/a\0",
        ])
    func malformed(uri: String) {
        #expect { try PeerIdentity(uri: uri) } throws: { ($0 as? TrustError)?.code == .malformedIdentity }
    }

    @Test("a node of the fleet does not pass for its gateway, nor for another node")
    func wrongPeer() throws {
        let edge = try NodeID("edge1")
        let node = PeerIdentity(role: .node(edge), tenant: .main)
        #expect { try PeerIdentity.requireGateway(node) } throws: { ($0 as? TrustError)?.code == .wrongPeer }
        #expect { try PeerIdentity.requireGateway(nil) } throws: { ($0 as? TrustError)?.code == .noCertificate }
        #expect { try PeerIdentity.require(node: NodeID("edge2"), node) } throws: {
            ($0 as? TrustError)?.code == .wrongPeer
        }
        try PeerIdentity.require(node: edge, node)
        try PeerIdentity.requireGateway(PeerIdentity(role: .gateway, tenant: .main))
    }
}
