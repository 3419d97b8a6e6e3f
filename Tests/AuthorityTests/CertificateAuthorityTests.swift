import Authority
import Fleet
import Testing
import Trust

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct CertificateAuthorityTests {
    private let node: PeerIdentity

    init() throws { node = PeerIdentity(role: .node(try NodeID("edge1")), tenant: .main) }

    @Test("a certificate says who its holder is, and for how long")
    func issue() throws {
        let authority = try CertificateAuthority.create(fleet: "home")
        let now = Date(timeIntervalSince1970: Date.now.timeIntervalSince1970.rounded())
        let credentials = try authority.credentials(for: node, now: now)
        #expect(credentials.identity == node)
        #expect(credentials.fleet == "home")
        #expect(credentials.notBefore == now.timeIntervalSince1970 - 300)
        #expect(credentials.expiresAt == now.timeIntervalSince1970 + 86_400)
    }

    @Test("the key of a joining node stays with it")
    func foreignKey() throws {
        let authority = try CertificateAuthority.create(fleet: "home")
        let key = NodeKey()
        let chain = try authority.issue(to: node, publicKeyDER: key.publicKeyDER)
        let credentials = try Credentials(
            fleet: "home", certificateChainPEM: chain, keyPEM: key.pemRepresentation, caPEM: authority.certificatePEM,
            ticketPublicKey: authority.ticketSigner.publicKey)
        #expect(credentials.identity == node)
        #expect {
            try Credentials(
                fleet: "home", certificateChainPEM: chain, keyPEM: NodeKey().pemRepresentation,
                caPEM: authority.certificatePEM, ticketPublicKey: authority.ticketSigner.publicKey)
        } throws: { ($0 as? TrustError)?.code == .malformedKey }
    }

    @Test("no certificate outlives the authority, and an expired authority issues none")
    func lifetime() throws {
        let past = Date.now - 9.99 * 365 * 86_400
        let authority = try CertificateAuthority.create(fleet: "home", now: past)
        let credentials = try authority.credentials(for: node, validFor: .seconds(30 * 86_400))
        #expect(credentials.expiresAt <= past.timeIntervalSince1970.rounded(.up) + 3650 * 86_400)
        #expect { try authority.credentials(for: node, now: .now + 30 * 86_400) } throws: {
            ($0 as? AuthorityError)?.code == .expired
        }
    }

    @Test("bad names, keys and spans are refused with their own codes")
    func refusals() throws {
        #expect { try CertificateAuthority.create(fleet: "My Fleet") } throws: {
            ($0 as? AuthorityError)?.code == .invalidFleetName
        }
        let authority = try CertificateAuthority.create(fleet: "home")
        #expect { try authority.issue(to: node, publicKeyDER: [1, 2, 3]) } throws: {
            ($0 as? AuthorityError)?.code == .invalidPublicKey
        }
        #expect { try authority.issue(to: node, publicKeyDER: NodeKey().publicKeyDER, validFor: .zero) } throws: {
            ($0 as? AuthorityError)?.code == .invalidValidity
        }
    }

    @Test("a saved authority is the same after loading, and its keys are its owner's alone")
    func files() throws {
        try withDirectory { directory in
            let authority = try CertificateAuthority.create(fleet: "home")
            #expect(!CertificateAuthority.exists(in: directory))
            try authority.save(to: directory)
            #expect(CertificateAuthority.exists(in: directory))
            let loaded = try CertificateAuthority.load(from: directory)
            #expect(loaded.certificateDigest == authority.certificateDigest)
            #expect(loaded.ticketSigner.publicKey == authority.ticketSigner.publicKey)
            #expect(loaded.fleet == "home")
            #expect(try mode(directory) == 0o700)
            #expect(try mode(directory + "/authority.key") == 0o600)
            #expect(try mode(directory + "/ticket.key") == 0o600)
        }
    }

    @Test("an authority whose key others may read is not used")
    func openKey() throws {
        try withDirectory { directory in
            try CertificateAuthority.create(fleet: "home").save(to: directory)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o644], ofItemAtPath: directory + "/authority.key")
            #expect { try CertificateAuthority.load(from: directory) } throws: {
                "\($0)".contains("chmod 600")
            }
        }
    }

    @Test("a key of another authority is found out when loading")
    func mixed() throws {
        let one = try CertificateAuthority.create(fleet: "home")
        #expect {
            try CertificateAuthority(
                certificatePEM: one.certificatePEM, keyPEM: NodeKey().pemRepresentation,
                ticketKey: one.ticketSigner.rawKey)
        } throws: { ($0 as? AuthorityError)?.code == .damaged }
    }
}

func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("lighter-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
}

private func mode(_ path: String) throws -> UInt16? {
    let value = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
    return value as? UInt16 ?? (value as? Int).map { UInt16($0) }
}
