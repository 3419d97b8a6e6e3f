import Authority
import Fleet
import Testing
import Trust

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct CredentialsTests {
    private let authority: CertificateAuthority
    private let credentials: Credentials

    init() throws {
        authority = try .create(fleet: "home")
        credentials = try authority.credentials(for: PeerIdentity(role: .node(NodeID("edge1")), tenant: .main))
    }

    private func code(_ directory: String) -> TrustError.Code? {
        do throws(TrustError) {
            _ = try Credentials.load(from: directory)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("saved credentials are the same after loading")
    func roundTrip() throws {
        try withDirectory { directory in
            #expect(!Credentials.exist(in: directory))
            try credentials.save(to: directory)
            #expect(Credentials.exist(in: directory))
            let loaded = try Credentials.load(from: directory)
            #expect(loaded.identity == credentials.identity)
            #expect(loaded.keyPEM == credentials.keyPEM)
            #expect(loaded.expiresAt == credentials.expiresAt)
            #expect(loaded.fleet == "home")
        }
    }

    @Test("a reader that comes while they are replaced gets those of before or those of after")
    func replaced() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("lighter-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let other = try authority.credentials(for: PeerIdentity(role: .node(NodeID("edge1")), tenant: .main))
        try credentials.save(to: directory)
        let writing = Task.detached { [credentials] in
            for turn in 0..<60 { try (turn.isMultiple(of: 2) ? other : credentials).save(to: directory) }
        }
        let keys = [credentials.keyPEM, other.keyPEM]
        for _ in 0..<300 { #expect(keys.contains(try Credentials.load(from: directory).keyPEM)) }
        try await writing.value
    }

    @Test("every missing file is named", arguments: ["cert.pem", "key.pem", "ca.pem", "ticket.pub", "identity.json"])
    func missing(file: String) throws {
        try withDirectory { directory in
            try credentials.save(to: directory)
            try FileManager.default.removeItem(atPath: "\(directory)/\(file)")
            #expect { try Credentials.load(from: directory) } throws: {
                ($0 as? TrustError)?.code == .missingFile && "\($0)".contains(file)
            }
        }
    }

    @Test("every corrupt file is found", arguments: ["cert.pem", "key.pem", "ca.pem", "ticket.pub", "identity.json"])
    func corrupt(file: String) throws {
        try withDirectory { directory in
            try credentials.save(to: directory)
            let path = "\(directory)/\(file)"
            for damage in [Data(), Data("rubbish".utf8), Data([0xff, 0, 0xfe])] {
                let handle = try #require(FileManager.default.contents(atPath: path))
                try damage.write(to: URL(fileURLWithPath: path))
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
                #expect(code(directory) == .corruptFile)
                try handle.write(to: URL(fileURLWithPath: path))
            }
        }
    }

    @Test("a key that others may read is refused with the command that mends it")
    func permissions() throws {
        try withDirectory { directory in
            try credentials.save(to: directory)
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: directory + "/key.pem")
            #expect { try Credentials.load(from: directory) } throws: {
                ($0 as? TrustError)?.code == .unsafePermissions && "\($0)".contains("chmod 600")
            }
        }
    }

    /// Everything that `save` does, up to the given number of renames, as a crash would leave it.
    private func interrupt(_ directory: String, saving new: Credentials, sealed: Bool, renames: Int) throws {
        let names = ["key.pem", "cert.pem", "ca.pem", "ticket.pub", "identity.json"]
        let scratch = directory + "-new"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        try new.save(to: scratch)
        for (index, name) in names.enumerated() {
            let target = index < renames ? name : name + ".new"
            try? FileManager.default.removeItem(atPath: "\(directory)/\(target)")
            try FileManager.default.moveItem(atPath: "\(scratch)/\(name)", toPath: "\(directory)/\(target)")
        }
        if sealed {
            try Data(names.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: directory + "/new.complete"))
        }
    }

    @Test("a crash while renewing leaves the old credentials or the new, never a mixture", arguments: -1...5)
    func crash(renames: Int) throws {
        let new = try authority.credentials(for: credentials.identity)
        try withDirectory { directory in
            try credentials.save(to: directory)
            try interrupt(directory, saving: new, sealed: renames >= 0, renames: max(0, renames))
            let expected = renames < 0 ? credentials : new
            #expect(try Credentials.load(from: directory).keyPEM == expected.keyPEM)
            // And the next save is not confused by what was left.
            try credentials.save(to: directory)
            #expect(try Credentials.load(from: directory).keyPEM == credentials.keyPEM)
        }
    }

    @Test("a directory that cannot be made is named")
    func unwritable() {
        #expect { try credentials.save(to: "/proc/lighter/x") } throws: {
            ($0 as? TrustError)?.code == .fileSystem && "\($0)".contains("/proc/lighter")
        }
    }

    @Test("credentials do not show their key when printed")
    func description() {
        var dumped = "\(credentials) \(String(reflecting: credentials))"
        dump(credentials, to: &dumped)
        #expect(!dumped.contains("PRIVATE"))
    }
}
